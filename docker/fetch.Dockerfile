# A data image that carries no bundle: it fetches one over HTTP, and takes only the one whose id was
# fixed when the image was built. From the top of a clone, after make:
#
#   docker build -f docker/fetch.Dockerfile -t site-fetch --build-arg BUNDLE_URL=https://example.org/site.tar.zst \
#       --build-arg BUNDLE_ID="$(decant info site.tar.zst | sed -n 's/^bundle: //p')" build
#
# The image needs a network when it runs, and fails (exit 10) when the bundle at the URL is another one.

ARG BASE=alpine:3.20
FROM ${BASE}
# A base that has curl needs no package.
RUN command -v curl >/dev/null || apk add --no-cache curl
COPY decant /decant
ARG DEST=/usr/share/nginx/html
ARG BUNDLE_ID=
RUN echo "$BUNDLE_ID" | grep -Eqx '[0-9a-f]{32}' || { echo 'BUNDLE_ID: not a bundle id' >&2; exit 1; }; \
    mkdir -p "$DEST"; \
    [ -z "$(ls -A "$DEST")" ] || { echo "$DEST: not empty in the base: a runtime would copy it" >&2; exit 1; }
ARG BUNDLE_URL=
# A task may name another URL, such as a mirror's: the id decides what is accepted.
ENV BUNDLE_URL=${BUNDLE_URL} BUNDLE_ID=${BUNDLE_ID} DECANT_DEST=${DEST}
LABEL decant.bundle.id="${BUNDLE_ID}"
VOLUME ["${DEST}"]
# decant shall be process 1: then it gets the signals, and its exit status counts. So the pipe has a name,
# for as long as it takes both sides to open it, in the one place that is writable on a read-only root.
ENTRYPOINT ["/bin/sh", "-c", "\
    pipe=$(mktemp -u /dev/shm/decant.XXXXXX) && mkfifo \"$pipe\" || exit 1; \
    { rm \"$pipe\"; exec curl -fsS \"$BUNDLE_URL\"; } >\"$pipe\" & \
    exec /decant fill --expect \"$BUNDLE_ID\" - <\"$pipe\""]
