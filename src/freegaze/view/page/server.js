/* Requests to the server. Arrays come as plain numbers with their shape in a header. */

const KINDS = { uint8: Uint8Array, float32: Float32Array };

/* Ask for something, and fail with the reason that the server gives. */
async function ask(path, values, signal) {
  const words = new URLSearchParams(values);
  const answer = await fetch(`/api/${path}?${words}`, { signal });
  if (!answer.ok) {
    const text = await answer.text();
    throw new Error(`${path}: ${text.slice(0, 300) || answer.status}`);
  }
  return answer;
}

/* Ask for plain values. */
export async function askValues(path, values = {}, signal = undefined) {
  return (await ask(path, values, signal)).json();
}

/* Ask for an array: its shape, its numbers, and the headers it came with. */
export async function askArray(path, kind, values = {}, signal = undefined) {
  const answer = await ask(path, values, signal);
  return {
    shape: answer.headers.get("X-Shape").split(",").map(Number),
    numbers: new KINDS[kind](await answer.arrayBuffer()),
    headers: answer.headers,
  };
}

/* Chunks of consecutive bins, fetched when needed; the last used are kept. */
export class Chunks {
  constructor(path, kind, session, length, nBins, most = 24) {
    Object.assign(this, { path, kind, session, length, nBins, most });
    this.chunks = new Map();
  }

  /* The chunk that holds a bin, or undefined while it is fetched. */
  at(bin, onArrival) {
    const number = Math.floor(bin / this.length);
    const known = this.chunks.get(number);
    if (known) {
      this.chunks.delete(number); // used last
      this.chunks.set(number, known);
      return known.shape ? { ...known, row: bin - number * this.length } : undefined;
    }
    const start = number * this.length;
    if (start < 0 || start >= this.nBins) return undefined;
    const values = { session: this.session, start, n: this.length, step: 1 };
    const arriving = askArray(this.path, this.kind, values).then(
      (chunk) => {
        this.chunks.set(number, chunk);
        onArrival?.();
      },
      () => this.chunks.delete(number),
    );
    this.chunks.set(number, { arriving });
    for (const old of this.chunks.keys()) {
      if (this.chunks.size <= this.most) break;
      this.chunks.delete(old);
    }
    return undefined;
  }
}
