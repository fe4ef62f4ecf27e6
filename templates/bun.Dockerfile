# Rendered by sjs. The base is named by the digest that was verified.
FROM {{base}}
COPY {{packages}}
COPY --chown=0:0 layer/ /
ENV {{env}}
LABEL {{labels}}
USER {{user}}
WORKDIR /app
STOPSIGNAL SIGTERM
HEALTHCHECK NONE
ENTRYPOINT {{entrypoint}}
CMD {{cmd}}
