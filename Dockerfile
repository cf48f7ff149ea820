# The program, the roots it trusts identity providers by, and nothing else: no
# shell, no package, no user but a number.
#
# What the image holds depends on this builder's Go and its roots alone. A tag
# can be moved; to build the same again, name the builder by digest:
#   docker build --build-arg GO_IMAGE=golang@sha256:...
ARG GO_IMAGE=golang:1.26.8-bookworm
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download && go mod verify
# With .git, so that the program knows which commit it is.
COPY . .
ARG TARGETOS TARGETARCH
# The flags of .ci/release: the same commit and Go give the same bytes.
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -buildvcs=true -ldflags="-s -w" -o /out/twilio-sts ./cmd/twilio-sts

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/LICENSE /LICENSE
COPY --from=build /out/twilio-sts /twilio-sts
USER 65532:65532
# What config.yaml listens on: server.listen has to be :8080 here, for the
# default is loopback, which ends at the container.
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/twilio-sts", "healthcheck", "--config", "/etc/twilio-sts/config.yaml"]
ENTRYPOINT ["/twilio-sts"]
CMD ["serve", "--config", "/etc/twilio-sts/config.yaml"]
