# One image for both services: `patchline edge` needs only the base install, `patchline serve` the analytics extra.
FROM python:3.11.11-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/patchline && /opt/patchline/bin/pip install --no-cache-dir '.[analytics,bench]'

FROM python:3.11.11-slim-bookworm
RUN useradd --uid 10001 --create-home patchline && install -d -o patchline -g patchline /var/lib/patchline
COPY --from=build /opt/patchline /opt/patchline
ENV PATH=/opt/patchline/bin:$PATH PYTHONUNBUFFERED=1
USER patchline
VOLUME /var/lib/patchline
ENTRYPOINT ["patchline"]
