package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
	"twilio-sts/config/rules"
)

// TestDev starts dev, reads what it says, and does what that says.
func TestDev(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	p := &program{getenv: os.LookupEnv, stdin: strings.NewReader(""), stdout: stdout, stderr: &stderr, now: time.Now}
	code := make(chan int, 1)
	go func() {
		code <- p.run(ctx, []string{"dev", "--listen", "127.0.0.1:0", "--provider-listen", "127.0.0.1:0"})
		stdout.Close()
	}()
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if lines.Text() == "Ctrl-C stops it." {
			break
		}
	}
	const want = `twilio-sts dev: on this machine only, with a throwaway Twilio key

  token service      http://127.0.0.1:PORT/token
  identity provider  http://127.0.0.1:PORT
  operators          http://127.0.0.1:PORT

Sign in at the identity provider as

  agent      gets voice, video, chat, sync, task_router
  customer   gets chat, sync; with room=support also video
  suspended  is refused: denied

An ID token becomes a Twilio access token:

  curl -s http://127.0.0.1:PORT/token -H "Authorization: Bearer $(curl -s 'http://127.0.0.1:PORT/dev/id_token?persona=agent')"

Tried just now: agent signed in (authorization code with PKCE), and the exchange answered 200:

  identity  dev__agent_2D7
  grants    chat {"service_sid":"IS00000000000000000000000000000000"}
            data_sync {"service_sid":"default"}
            task_router {"role":"worker","worker_sid":"WK00000000000000000000000000000000","workspace_sid":"WS00000000000000000000000000000000"}
            video {"room":"team-emea"}
            voice {"incoming":{"allow":true},"outgoing":{"application_sid":"AP00000000000000000000000000000000","params":{"team":"emea"}}}
  ttl       4h0m0s

Which rules it came by, and for who is refused each rule's verdict:

  twilio-sts explain --trace-id ID

Ctrl-C stops it.
`
	text := said.String()
	explain := regexp.MustCompile(`twilio-sts (explain --trace-id ([0-9a-f]{32}).*)`).FindStringSubmatch(text)
	if explain == nil {
		t.Fatalf("there is no explain line:\n%s", text)
	}
	got := regexp.MustCompile(`(?m)^  8081 is taken, so the operators' listener is at 127.0.0.1:[0-9]+\n`).ReplaceAllString(text, "")
	got = strings.Replace(got, explain[2], "ID", 1)
	got = regexp.MustCompile(` --admin http://127.0.0.1:[0-9]+`).ReplaceAllString(got, "")
	got = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).ReplaceAllString(got, "127.0.0.1:PORT")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("it says (-want +got):\n%s", diff)
	}

	var explained, faults bytes.Buffer
	e := &program{getenv: p.getenv, stdin: p.stdin, stdout: &explained, stderr: &faults, now: time.Now}
	if code := e.run(ctx, strings.Fields(explain[1])); code != exitFine || !strings.Contains(explained.String(), "\n  rules     agents, everyone\n") {
		t.Errorf("%s: exit code %d\n%s%s", explain[0], code, &explained, &faults)
	}

	provider := regexp.MustCompile(`identity provider  (\S+)`).FindStringSubmatch(text)[1]
	resp, err := http.Get(provider)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if line := "gets chat, sync; with room=support also video"; err != nil || !strings.Contains(string(page), line) {
		t.Errorf("the provider's page does not say %q: %v\n%s", line, err, page)
	}

	stop()
	if code := <-code; code != exitFine {
		t.Errorf("exit code %d", code)
	}
	// Not even the audit line of dev's own exchange.
	if stderr.Len() > 0 {
		t.Errorf("on stderr:\n%s", &stderr)
	}
}

func TestDevSaysWhatIsTaken(t *testing.T) {
	t.Parallel()
	var d devServer
	taken, err := d.listen(t.Context(), "the first", "127.0.0.1:0", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	moved, err := d.listen(t.Context(), "the second", "", taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer moved.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{port + " is taken, so the second is at " + moved.Addr().String()}, d.moved); diff != "" {
		t.Errorf("moved (-want +got):\n%s", diff)
	}
}

// TestDevConfigIsAsItRuns has a token of dev explained with dev.yaml.
func TestDevConfigIsAsItRuns(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("dev.yaml", devConfig, config.Options{NoSecrets: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.Issuers[0].URL, "http://"+devProviderAddress+"/dev"; got != want {
		t.Errorf("dev.yaml's issuer is %s, and dev's is %s", got, want)
	}
}

// TestProspect is about what a person gets with and without what a test asks
// for.
func TestProspect(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("dev.yaml", devConfig, config.Options{NoSecrets: true})
	if err != nil {
		t.Fatal(err)
	}
	agent := map[string]any{"sub": "a", "email": "a@example.com", "email_verified": true, "groups": []any{"agents"}, "team": "emea"}
	someone := map[string]any{"sub": "a"}
	room := map[string]string{"room": "blue"}
	for _, test := range []struct {
		name string
		c    rules.Case
		want string
	}{
		{"nothing asked for", rules.Case{Claims: someone}, "gets chat, sync"},
		{"more", rules.Case{Claims: someone, Request: room}, "gets chat, sync; with room=blue also video"},
		{"the same", rules.Case{Claims: agent, Request: room}, "gets voice, video, chat, sync, task_router; with room=blue the same"},
		{"less", rules.Case{Claims: someone, Request: room, Scope: []string{"video", "chat"}}, "gets chat, sync; with room=blue scope=video+chat gets only video, chat"},
		{"refused", rules.Case{Claims: someone, Request: map[string]string{"room": "/"}}, "gets chat, sync; with room=/ is refused: invalid_parameter"},
	} {
		test.c.Issuer = "dev"
		if got := prospect(cfg.Rules, &test.c); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
	}
}
