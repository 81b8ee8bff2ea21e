"use strict";

/* Tables: a press on a heading sorts by that column, a second press the other way round. */
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    const isNumber = button.dataset.number === "1";
    button.addEventListener("click", () => {
      const first = isNumber ? "descending" : "ascending";
      const second = isNumber ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const compare = (a, b) => {
        const [x, y] = [a, b].map((row) => row.cells[column].dataset.value);
        if (!isNumber) return sign * x.localeCompare(y, "en", { numeric: true });
        if (x === "" || y === "") return (x === "") - (y === ""); /* no value: always last */
        return sign * (Number(x) - Number(y));
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}

/* Contents: mark the section that is being read. */
const links = new Map();
for (const link of document.querySelectorAll(".contents a")) {
  links.set(link.getAttribute("href").slice(1), link);
}
const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  },
  { rootMargin: "-10% 0px -80% 0px" },
);
for (const section of document.querySelectorAll("main > section")) observer.observe(section);
