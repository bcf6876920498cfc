# syntax=docker/dockerfile:1
# One image; the command chooses what runs: api, worker or migrate.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
# A compiler is needed for the packages that come as source.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes gcc=4:12.* libc6-dev=2.36-* \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# torch stands apart from the lock file, because its file differs between machines.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple torch==2.13.0
COPY requirements/lock.txt requirements/lock.txt
RUN pip install --no-deps --require-hashes -r requirements/lock.txt
COPY pyproject.toml README.md ./
COPY rules rules
COPY service service
COPY workers workers
COPY hegui hegui
COPY migrations migrations
RUN pip install --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home hegui \
    && install -d -o hegui -g hegui /var/lib/hegui /var/cache/hegui
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEGUI_ENVIRONMENT=production \
    HEGUI_OBJECT_DIR=/var/lib/hegui/objects \
    XDG_CACHE_HOME=/var/cache/hegui
USER hegui
WORKDIR /var/lib/hegui
EXPOSE 8080
ENTRYPOINT ["hegui"]
CMD ["api", "--host", "0.0.0.0", "--port", "8080"]
