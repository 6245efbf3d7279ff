# The wheel is built with the compiled FHIR definitions and the pages in it; the image holds the wheel alone.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements-dev.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --require-hashes -r requirements-dev.lock
COPY r4 r4
RUN /build/bin/python -m r4.definitions.build
COPY . .
RUN /build/bin/python web/build.py
RUN /build/bin/python -m hatchling build -t wheel -d /dist

FROM python:3.12-slim
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.lock \
 && useradd --system --create-home --home-dir /data csor
COPY --from=build /dist/*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/*.whl && rm /tmp/*
USER csor
WORKDIR /data
VOLUME /data
# Reachable from outside the container: the server refuses to start without registered clients
# (CSOR_CLIENTS), and keeps MLLP, which carries no identity, closed.
ENV CSOR_DATABASE=/data/csor.db CSOR_FHIR_HOST=0.0.0.0 CSOR_MLLP=false CSOR_CLIENTS=/data/clients.toml
EXPOSE 8000
ENTRYPOINT ["python", "-m", "fhir_server"]
CMD ["serve"]
