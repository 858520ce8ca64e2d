# The image of bookd: one static binary, the public certificate authorities and the time zones; nothing else to patch.
# Build it with `make image`, which passes the arguments; a plain `docker build .` works too. Needs BuildKit.

# The compiler runs on the builder's own platform and cross-compiles, so another architecture costs no emulation.
FROM --platform=$BUILDPLATFORM golang:1.26-trixie AS build
WORKDIR /src

# Where modules come from, as the host's go has it. Unset ones keep the toolchain's defaults.
ARG GOPROXY GONOPROXY GOSUMDB GONOSUMDB
# The workspace is for developing; the image holds this one module, at exactly the versions of its go.sum.
ENV CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly

# Modules before sources: a change of the code does not download them again. The secret is the host's bundle of certificate
# authorities, for networks that inspect TLS; it is there during this command only and in no layer.
COPY app/go.mod app/go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi; \
    go mod download

COPY app/ ./
ARG TARGETOS TARGETARCH
ARG VERSION=dev
ARG REVISION=unknown
# -trimpath and an empty build ID: the same commit gives the same bytes, wherever it is built. HTTP/2 is left out (0.35 MB):
# without TLS net/http does not speak it, and TLS ends at the edge.
# The secret here as well: the builder may have cleared the modules away since they were downloaded, and still know that layer.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi; \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -tags nethttpomithttp2 \
      -ldflags "-s -w -buildid= -X bookshelf/app/internal/buildinfo.Version=$VERSION -X bookshelf/app/internal/buildinfo.Revision=$REVISION" \
      -o /out/bookd ./cmd/bookd


FROM scratch

ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bookd" \
      org.opencontainers.image.description="Bookshelf: a book catalogue API on PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /usr/share/zoneinfo.zip
COPY --from=build /out/bookd /bookd

ENV ZONEINFO=/usr/share/zoneinfo.zip
# By number, because there is no passwd file, and because Kubernetes can tell from a number that it is not root.
USER 65532:65532
EXPOSE 8080 9090
HEALTHCHECK --interval=2s --timeout=3s --start-period=15s --retries=3 CMD ["/bookd", "healthcheck"]
ENTRYPOINT ["/bookd"]
CMD ["serve"]
