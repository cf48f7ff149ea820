package exchange_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"twilio-sts/exchange"
)

// A load is requests for a server, each with another token of a provider that
// signs with RS256, as most do.
type load struct {
	url    string
	client *http.Client
	bodies []string
	next   atomic.Int64
}

func newLoad(b *testing.B) *load {
	b.Helper()
	s := newSite(b, strings.ReplaceAll(siteConfig, "[ES256]", "[RS256]"), func(o *exchange.Options) { o.Audit, o.Rand = io.Discard, nil })
	l := &load{url: s.url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	b.Cleanup(l.client.CloseIdleConnections)
	for n := range 1000 {
		l.bodies = append(l.bodies, form(s.token(m{
			"sub": fmt.Sprintf("auth0|%024d", n), "email": fmt.Sprintf("u%d@example.com", n), "email_verified": true,
			"name": "Somebody With a Name", "nonce": "n-0S6_WzA2Mj", "groups": []string{"staff", "support"},
		}), "room", "blue"))
	}
	return l
}

// post sends the next request and returns the answer's body, which must be a
// granted one.
func (l *load) post(b *testing.B) string {
	body := l.bodies[int(l.next.Add(1))%len(l.bodies)]
	resp, err := l.client.Post(l.url+"/token", formType, strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Errorf("%d %s: %v", resp.StatusCode, text, err)
	}
	return string(text)
}

func (l *load) run(b *testing.B) {
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.post(b)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				l.post(b)
			}
		})
	})
}

// BenchmarkExchange measures a whole exchange over HTTP with keep-alive, the
// client's part included.
func BenchmarkExchange(b *testing.B) { newLoad(b).run(b) }

// BenchmarkFloor measures what HTTP alone costs of that: the same requests,
// read, and answers of the same size.
func BenchmarkFloor(b *testing.B) {
	l := newLoad(b)
	answer := []byte(l.post(b))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Error(err)
		}
		w.Header().Set("Content-Type", jsonType)
		w.Write(answer)
	}))
	b.Cleanup(server.Close)
	l.url = server.URL
	l.run(b)
}
