# freegaze on the processor. Build: docker build -t freegaze .   Run: docker run --rm -v "$PWD:/data" freegaze train /data/mouse --out /data/runs/first
FROM python:3.11-slim
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE CITATION.cff CHANGELOG.md ./
COPY src ./src
RUN pip install --no-cache-dir --constraint constraints.txt '.[nwb,video]' \
    && useradd --create-home mouse
USER mouse
WORKDIR /data
ENTRYPOINT ["freegaze"]
CMD ["--help"]
