# The data image from a bundle that was packed on the host. scripts/build-image makes the context:
# rootfs.tar, the tree that docker/rootfs lays out. A tar, because only a tar carries owners and
# modes from the host into an image, into `scratch` too.
#
# Keep the lower half in step with docker/Dockerfile.

ARG BASE=alpine:3.20
FROM ${BASE}
ADD rootfs.tar /
ARG DEST=/usr/share/nginx/html
ARG OWNER=0:0
ARG RUN_USER=${OWNER}
VOLUME ["${DEST}"]
USER ${RUN_USER}
ENTRYPOINT ["/decant"]
