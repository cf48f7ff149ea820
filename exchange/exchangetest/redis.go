package exchangetest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Redis is a real redis-server on loopback, with a directory of its own.
type Redis struct {
	Addr string

	tls   bool
	args  []string
	stdin io.Closer       // open while it runs
	gone  <-chan struct{} // closed once it has ended
}

// NewRedis starts a server with these options of redis-server, or skips the
// test where that is not installed; with TWILIO_STS_REQUIRE=all it fails then.
func NewRedis(t testing.TB, options ...string) *Redis {
	t.Helper()
	dir := t.TempDir()
	return startRedis(t, func(port string) []string {
		return append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", ""}, options...)
	})
}

// NewTLSRedis starts a server that speaks TLS alone, with a certificate and key
// of these files.
func NewTLSRedis(t testing.TB, certFile, keyFile string) *Redis {
	t.Helper()
	dir := t.TempDir()
	r := startRedis(t, func(port string) []string {
		return []string{"--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--dir", dir, "--save", "",
			"--tls-auth-clients", "no", "--tls-cert-file", certFile, "--tls-key-file", keyFile}
	})
	r.tls = true
	return r
}

// NewSentinel starts a sentinel that alone watches master, by the name main.
func NewSentinel(t testing.TB, master *Redis) *Redis {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	host, port, _ := net.SplitHostPort(master.Addr)
	return startRedis(t, func(own string) []string {
		conf := fmt.Sprintf("bind 127.0.0.1\nport %s\nsentinel monitor main %s %s 1\n", own, host, port)
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{file, "--sentinel"}
	})
}

func startRedis(t testing.TB, args func(port string) []string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		const missing = "needs redis-server: apt-get install redis-server"
		if os.Getenv("TWILIO_STS_REQUIRE") == "all" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	for range 5 { // somebody may take the port in between
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		r := &Redis{Addr: l.Addr().String()}
		_, port, _ := net.SplitHostPort(r.Addr)
		r.args = args(port)
		if r.start(t) {
			t.Cleanup(r.Kill)
			return r
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

// URL returns the server's URL.
func (r *Redis) URL() string {
	if r.tls {
		return "rediss://" + r.Addr
	}
	return "redis://" + r.Addr
}

// Kill ends the server at once, as SIGKILL does.
func (r *Redis) Kill() {
	r.stdin.Close()
	<-r.gone
}

// Restart starts the server again as it was before Kill, with what it left on
// disk.
func (r *Redis) Restart(t testing.TB) {
	t.Helper()
	if !r.start(t) {
		t.Fatal("redis-server does not start again")
	}
}

// start starts the server and reports whether it came to listen. It ends when
// its standard input does, and so with the test, however that ends.
func (r *Redis) start(t testing.TB) bool {
	t.Helper()
	const script = `redis-server "$@" & exec >/dev/null 2>&1; cat; kill -9 $!; wait`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, r.args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, gone := make(chan bool, 1), make(chan struct{})
	r.stdin, r.gone = stdin, gone
	go func() {
		defer close(gone)
		told := false
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			text := lines.Text()
			if !told && (strings.Contains(text, "Ready to accept connections") || strings.Contains(text, "+monitor master")) {
				told = true
				ready <- true
			}
		}
		if !told {
			ready <- false
		}
		cmd.Wait() // always an error: it was killed
	}()
	if !<-ready {
		r.Kill()
		return false
	}
	return true
}
