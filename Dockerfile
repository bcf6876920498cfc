# One image for every process; the command chooses: api, worker, migrate.
FROM python:3.11.14-bookworm AS build
# Where a smaller torch is wanted: --build-arg TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
ARG TORCH_ARGS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/run.txt /build/requirements/run.txt
# shellcheck disable=SC2086  the arguments are words
RUN python -m venv /opt/hegui && /opt/hegui/bin/pip install ${TORCH_ARGS} torch==2.13.0
RUN /opt/hegui/bin/pip install --no-deps --require-hashes -r /build/requirements/run.txt
COPY pyproject.toml setup.py README.md LICENSE /build/
COPY rules /build/rules
COPY service /build/service
COPY workers /build/workers
COPY migrations /build/migrations
COPY hegui /build/hegui
RUN /opt/hegui/bin/pip install --no-deps /build

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/hegui /opt/hegui
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/hegui hegui \
    && install -d -o hegui -g hegui /var/lib/hegui/objects
ENV PATH=/opt/hegui/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/hegui \
    HEGUI_ENVIRONMENT=production \
    HEGUI_OBJECT_DIR=/var/lib/hegui/objects
USER 10001
WORKDIR /var/lib/hegui
EXPOSE 8080
ENTRYPOINT ["hegui"]
CMD ["api", "--host", "0.0.0.0", "--port", "8080"]
