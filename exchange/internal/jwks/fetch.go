package jwks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of what a provider may answer.
const (
	fetchTimeout = 5 * time.Second
	dialTimeout  = 2 * time.Second
	maxBody      = 256 << 10
	maxHeader    = 64 << 10
)

// NewClient returns a client for a provider's documents: no redirects, no
// cookies, no compression, and nothing that is large or slow. transport nil
// means one of its own, which trusts roots, or the system's where nil.
func NewClient(transport http.RoundTripper, roots *x509.CertPool) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // a small answer could become a large one
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConns:           2,
			IdleConnTimeout:        time.Minute,
		}
	}
	return &http.Client{
		Transport:     limited{transport},
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// limited bounds the bodies that a transport returns, whoever reads them.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "twilio-sts")
	resp, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.Header.Get("Content-Encoding") != "" {
		resp.Body.Close()
		return nil, errors.New("the answer is compressed")
	}
	resp.Body = &limitedBody{resp.Body, maxBody}
	return resp, nil
}

// CloseIdleConnections is what http.Client asks a transport for.
func (l limited) CloseIdleConnections() {
	(&http.Client{Transport: l.RoundTripper}).CloseIdleConnections()
}

type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errors.New("the answer is larger than 256 KiB")
	}
	return n, err
}

// fetch gets the key set and returns how long it is fresh. Its errors tell
// nothing of what the provider wrote.
func (k *KeySet) fetch(ctx context.Context) (ttl time.Duration, err error) {
	if err := k.locate(ctx); err != nil {
		return 0, fmt.Errorf("discovery: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.uri, nil)
	if err != nil {
		return 0, errors.New("the URL of the keys is not valid")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	if k.etag != "" {
		req.Header.Set("If-None-Match", k.etag)
	}
	resp, err := k.o.Client.Do(req)
	if err != nil {
		return 0, Reason(err)
	}
	defer resp.Body.Close()
	before := k.snapshot.Load()
	switch {
	case resp.StatusCode == http.StatusNotModified && before != nil:
		k.notFound = 0
		k.snapshot.Store(newSnapshot(before.keys, k.o.Now()))
		return freshness(resp.Header, k.o.Now()), nil
	case resp.StatusCode == http.StatusNotFound:
		k.notFound++
		fallthrough
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("the provider answered %d", resp.StatusCode)
	}
	k.notFound = 0
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, Reason(err)
	}
	keys, dropped, err := parseSet(data, k.o.Algorithms)
	for why, n := range dropped {
		level := k.o.Log.Debug
		if why == errPrivate.Error() {
			level = k.o.Log.Error // the provider gave away what it must keep
		}
		level("keys left out", "why", why, "count", n)
	}
	if err != nil {
		return 0, err
	}
	k.etag = resp.Header.Get("Etag")
	k.snapshot.Store(newSnapshot(keys, k.o.Now()))
	return freshness(resp.Header, k.o.Now()), nil
}

// locate finds the URL of the keys: once a day, and when it is not found where
// it was.
func (k *KeySet) locate(ctx context.Context) error {
	if k.o.URI != "" {
		return nil
	}
	now := k.o.Now()
	if k.uri != "" && now.Sub(k.discovered) < discoveryTTL && k.notFound < rediscoverAt {
		return nil
	}
	uri, err := k.o.Discover(ctx)
	switch {
	case err == nil:
		if uri != k.uri {
			k.etag = ""
		}
		k.uri, k.discovered, k.notFound = uri, now, 0
	case k.uri == "":
		return err
	default: // the old URL may do for another day
		k.o.Log.Warn("discovery failed", "error", err.Error())
		k.discovered, k.notFound = now, 0
	}
	return nil
}

// Reason returns an error that says why a request failed, without the URL or
// anything that the provider wrote.
func Reason(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		if ue.Timeout() {
			return errors.New("the provider did not answer in time")
		}
		return ue.Err
	}
	return err
}

// freshness is how long an answer may be used, by its own headers, within
// bounds (RFC 9111 §4.2.1).
func freshness(h http.Header, now time.Time) time.Duration {
	ttl := softTTLDefault
	if expires, err := http.ParseTime(h.Get("Expires")); err == nil {
		ttl = expires.Sub(now)
	}
	for _, directive := range strings.Split(h.Get("Cache-Control"), ",") {
		if seconds, ok := strings.CutPrefix(strings.TrimSpace(strings.ToLower(directive)), "max-age="); ok {
			if n, err := strconv.Atoi(seconds); err == nil {
				ttl = time.Duration(min(n, int(softTTLMax/time.Second))) * time.Second
			}
		}
	}
	return min(max(ttl, softTTLMin), softTTLMax)
}
