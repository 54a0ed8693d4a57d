# One image for both programs: `patchline edge` needs only the base install, `patchline serve` the analytics extra.
FROM python:3.11.11-slim-bookworm AS build
WORKDIR /source
# The image has no git: whoever builds a release gives its version, else the fallback of pyproject.toml counts.
ARG VERSION=
COPY . .
RUN if [ -n "$VERSION" ]; then export SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION"; fi \
  && python -m venv /opt/patchline && /opt/patchline/bin/pip install --no-cache-dir '.[analytics,bench,site]'

FROM python:3.11.11-slim-bookworm
# Named volumes take over the owner of the folders they cover, so the unprivileged user can write to them.
RUN useradd --uid 10001 --create-home patchline \
  && install -d -o patchline -g patchline /var/lib/patchline /artifacts \
  && install -d -o patchline -g patchline -m 0700 /site /site/signing /site/broker \
     /site/services /site/services/analytics /site/stations /site/stations/line-1 /site/stations/line-1/washers
COPY --from=build /opt/patchline /opt/patchline
ENV PATH=/opt/patchline/bin:$PATH PYTHONUNBUFFERED=1
USER patchline
ENTRYPOINT ["patchline"]
