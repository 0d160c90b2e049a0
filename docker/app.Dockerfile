# A lean web server: nginx and its configuration, not one file of the site.
ARG BASE=nginx:alpine
FROM ${BASE}
COPY nginx.conf /etc/nginx/nginx.conf
EXPOSE 8080
# Any numeric user will do; nothing here needs root or a writable root file system.
USER 65534:65534
# nginx:alpine's own entrypoint edits /etc, which is read-only in compose.yaml.
ENTRYPOINT ["nginx", "-e", "stderr", "-g", "daemon off;"]
