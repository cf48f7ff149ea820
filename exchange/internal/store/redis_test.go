package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"twilio-sts/config"
	"twilio-sts/exchange/exchangetest"
)

func sentinelURL(t *testing.T) string {
	t.Helper()
	return exchangetest.NewSentinel(t, exchangetest.NewRedis(t)).URL() + "?master_name=main"
}

// clusterURL starts a cluster of one node that serves every slot.
func clusterURL(t *testing.T) string {
	t.Helper()
	server := exchangetest.NewRedis(t, "--cluster-enabled", "yes")
	single := newRedis(t, server.URL()).Store.(*Redis)
	if err := single.client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(single.client.ClusterInfo(t.Context()).Val(), "cluster_state:ok") {
		if t.Context().Err() != nil {
			t.Fatal("there is no cluster")
		}
	}
	return server.URL() + "?addr=" + server.Addr
}

// do sends a command of an operator's.
func (s *tested) do(t *testing.T, args ...any) {
	t.Helper()
	if err := s.Store.(*Redis).client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRedisFull(t *testing.T) {
	t.Parallel()
	s := newRedis(t, exchangetest.NewRedis(t).URL())
	s.fill(t)
	s.do(t, "config", "set", "maxmemory", "1")
	wantFull(t, s)
	if _, err := s.Allow(t.Context(), "a", perMinute); !errors.Is(err, ErrFull) {
		t.Errorf("Allow: %v, want %v", err, ErrFull)
	}
}

// TestRedisRestarts has counts and marks outlive a server that was killed, and
// nothing be answered in between.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	server := exchangetest.NewRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	s := newRedis(t, server.URL())
	s.fill(t)
	server.Kill()
	ctx := t.Context()
	_, useErr := s.Use(ctx, key("old"), 1, s.now().Add(time.Hour))
	_, markedErr := s.Marked(ctx, key("old mark"))
	_, allowErr := s.Allow(ctx, "a", perMinute)
	_, peekErr := s.Peek(ctx, "a", perMinute)
	for _, err := range []error{useErr, markedErr, allowErr, peekErr, s.Mark(ctx, []Mark{{key("a"), s.now(), s.now().Add(time.Hour)}})} {
		if err == nil {
			t.Error("a server that is gone answered")
		}
	}
	server.Restart(t)
	await(t, func() bool { _, err := s.Marked(ctx, key("old mark")); return err == nil })
	if s.use(t, "old", 1, s.now().Add(time.Hour)) {
		t.Error("a count was forgotten")
	}
	if got := s.marked(t, "old mark")[0]; got != 0 {
		t.Errorf("marked at %v, want 0", got)
	}
}

// await waits until a server that was started again is found.
func await(t *testing.T, found func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !found() {
		if ctx.Err() != nil {
			t.Fatal("it does not come back")
		}
	}
}

// TestRedisHangs has a server that takes connections and never answers be an
// error.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newRedis(t, "redis://"+l.Addr().String())
	if _, err := s.Use(t.Context(), key("a"), 1, s.now().Add(time.Hour)); err == nil {
		t.Error("a use was counted")
	}
}

// TestRedisKeys has nothing of a rate's key be stored as it is, and everything
// stored expire.
func TestRedisKeys(t *testing.T) {
	t.Parallel()
	s := newRedis(t, exchangetest.NewRedis(t).URL())
	s.fill(t)
	if _, err := s.Allow(t.Context(), "ip 198.51.100.7", perMinute); err != nil {
		t.Fatal(err)
	}
	client := s.Store.(*Redis).client
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 3 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	for _, k := range keys {
		if ttl := client.PTTL(t.Context(), k).Val(); ttl <= 0 || !strings.HasPrefix(k, "twilio-sts:") || strings.Contains(k, "198.51") {
			t.Errorf("%s lives %v", k, ttl)
		}
	}
}

// TestRedisEviction has a server that may forget be warned of, once.
func TestRedisEviction(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options []string
		want    string
	}{
		{"no bound", []string{"--maxmemory-policy", "allkeys-lru"}, ""},
		{"noeviction", []string{"--maxmemory", "100mb", "--maxmemory-policy", "noeviction"}, ""},
		{"volatile-lru", []string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"},
			`level=WARN msg="Redis may forget replay counts and logout marks when its memory is full: set maxmemory-policy noeviction" maxmemory_policy=volatile-lru` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := exchangetest.NewRedis(t, test.options...)
			var log bytes.Buffer
			r, err := NewRedis(server.URL(), RedisOptions{Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
				ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				},
			}))})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for range 2 {
				if _, err := r.Peek(t.Context(), "a", perMinute); err != nil {
					t.Fatal(err)
				}
				server.Kill()
				server.Restart(t)
				await(t, func() bool { _, err := r.Peek(t.Context(), "a", perMinute); return err == nil })
			}
			if got := log.String(); got != test.want {
				t.Errorf("log\n got %q\nwant %q", got, test.want)
			}
		})
	}
}

func BenchmarkRedis(b *testing.B) {
	r, err := NewRedis(exchangetest.NewRedis(b).URL(), RedisOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	ctx, rate := b.Context(), config.Rate{Count: 1000, Per: time.Second}
	b.Run("Allow", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if _, err := r.Allow(ctx, fmt.Sprint(i%1000), rate); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Use", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if _, err := r.Use(ctx, key(fmt.Sprint(i)), 1, time.Now().Add(time.Hour)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
