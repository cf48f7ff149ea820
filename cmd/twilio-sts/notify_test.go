package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"twilio-sts/exchange/exchangetest"
)

// A manager is the end of NOTIFY_SOCKET that systemd holds.
type manager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, path: filepath.Join(dir, "socket")}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// hear returns the next message, which has to come.
func (m *manager) hear() string {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(readmeWait))
	message := make([]byte, 100)
	n, err := m.conn.Read(message)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(message[:n])
}

// TestReadyIsSaidWhenReady has the service's answers and what the manager is
// told arrive in one queue, so that their order is seen.
func TestReadyIsSaidWhenReady(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	n := notifier{m.path, slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	answers := []bool{false, false, true}
	go n.follow(ctx, func() bool {
		ready := answers[0]
		answers = answers[1:]
		n.say(fmt.Sprint("ready: ", ready))
		return ready
	})
	got := []string{m.hear(), m.hear(), m.hear(), m.hear()}
	stop()
	got = append(got, m.hear())
	if want := []string{"ready: false", "ready: false", "ready: true", "READY=1", "STOPPING=1"}; !slices.Equal(got, want) {
		t.Errorf("the manager heard %q, want %q", got, want)
	}
}

// TestServeTellsItsManager runs the whole command from start to SIGTERM.
func TestServeTellsItsManager(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	code, stop, stderr := serveWith(t, m.path)
	if got := m.hear(); got != "READY=1" {
		t.Errorf("at first %q", got)
	}
	stop()
	if got := m.hear(); got != "STOPPING=1" {
		t.Errorf("at the end %q", got)
	}
	if c := <-code; c != exitFine {
		t.Errorf("exit code %d\n%s", c, stderr)
	}
}

// TestManagerThatIsGone: serving goes on, and the log tells why nobody heard.
func TestManagerThatIsGone(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	notifier{"no/such/socket", slog.New(slog.NewTextHandler(&log, plain))}.say("READY=1")
	want := `level=WARN msg="the service manager was not told" state="READY=1" error="dial unixgram no/such/socket: connect: no such file or directory"` + "\n"
	if got := log.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// serveWith runs serve with its manager at socket. The log may be read once
// the exit code has come.
func serveWith(t *testing.T, socket string) (code <-chan int, stop func(), stderr *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	keys, err := json.Marshal(map[string]any{"keys": []any{exchangetest.NewKey(t, "ES256", "k1").JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"keys.json":   string(keys),
		"config.yaml": strings.Replace(diffConfig, "version: 1\n", "version: 1\nserver: {listen: \"127.0.0.1:0\", admin_listen: \"\"}\n", 1) + "  - {name: all, when: \"true\", grants: {video: {room: lobby}}}\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stderr = &bytes.Buffer{}
	getenv := func(name string) (string, bool) {
		if name == "NOTIFY_SOCKET" {
			return socket, true
		}
		return "ASecretOfTheseTestsAlone00000001", true
	}
	p := &program{getenv: getenv, stdout: io.Discard, stderr: stderr, now: time.Now}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, []string{"serve", "--config", filepath.Join(dir, "config.yaml")}) }()
	return ended, stop, stderr
}
