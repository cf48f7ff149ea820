package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange/exchangetest"
)

// A reloading is serve, in this process, which looks at its files when it is
// told to.
type reloading struct {
	dir, url string
	key      *exchangetest.Key
	looks    chan time.Time
	hangups  chan os.Signal
	events   chan string // without their time, and without hashes
	stop     func()
}

// reloadConfig is a configuration that answers tell by its number.
func reloadConfig(n int) string {
	return strings.NewReplacer(
		"version: 1\n", "version: 1\nserver: {listen: \"127.0.0.1:0\", admin_listen: \"\"}\nlimits: {per_ip: off, per_subject: off}\naudit: {key: {file: audit.key}}\n",
		"audiences: [app]", "audiences: [app], algorithms: [ES256]",
		"service_sid: default", fmt.Sprintf("service_sid: IS%032d", n),
	).Replace(version(n))
}

// newReloading serves configuration 0, with more arguments.
func newReloading(t *testing.T, args ...string) *reloading {
	t.Helper()
	r := &reloading{dir: t.TempDir(), key: exchangetest.NewKey(t, "ES256", "k1"), looks: make(chan time.Time), hangups: make(chan os.Signal), events: make(chan string, 2000)}
	keys, err := json.Marshal(map[string]any{"keys": []any{r.key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, "keys.json", string(keys))
	r.write(t, "secret", "ASecretOfTheseTestsAlone00000001")
	r.write(t, "audit.key", "AKeyOfTheseTestsAlone0000000000001")
	r.write(t, "config.yaml", reloadConfig(0))

	ctx, stop := context.WithCancel(t.Context())
	stderr, events := io.Pipe()
	p := &program{getenv: func(string) (string, bool) { return "", false }, stdout: io.Discard, stderr: events, now: time.Now,
		prompts: func() prompts { return prompts{looks: r.looks, hangups: r.hangups, stop: func() {}} }}
	code := make(chan int, 1)
	go func() {
		code <- p.run(ctx, append([]string{"serve", "--config", filepath.Join(r.dir, "config.yaml")}, args...))
		events.Close()
	}()
	addresses := make(chan string, 1)
	go r.read(t, stderr, addresses)
	r.stop = sync.OnceFunc(func() {
		stop()
		if c := <-code; c != exitFine {
			t.Errorf("exit code %d", c)
		}
	})
	t.Cleanup(r.stop)
	r.url = "http://" + <-addresses + "/token"
	r.want(t, `{"admin":"off","level":"INFO","msg":"serving"}`)
	return r
}

// read reads events to their end. That of the address goes to where it is waited
// for.
func (r *reloading) read(t *testing.T, from io.Reader, addresses chan<- string) {
	defer close(r.events)
	for d := json.NewDecoder(from); ; {
		var event map[string]any
		if err := d.Decode(&event); err != nil {
			return
		}
		if address, ok := event["address"].(string); ok && event["msg"] == "serving" {
			addresses <- address
			delete(event, "address")
		}
		delete(event, "time")
		delete(event, "config")
		delete(event, "trace_id")
		delete(event, "shadow")
		line, err := json.Marshal(event)
		if err != nil {
			t.Error(err)
		}
		r.events <- strings.ReplaceAll(string(line), r.dir+string(filepath.Separator), "")
	}
}

// want waits for the next events.
func (r *reloading) want(t *testing.T, events ...string) {
	t.Helper()
	for _, want := range events {
		select {
		case got := <-r.events:
			if got != want {
				t.Errorf("event\n got %s\nwant %s", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("there is no event %s", want)
		}
	}
}

const (
	servingEvent   = `{"level":"INFO","msg":"serving"}`
	notReloaded    = `{"error":%q,"level":"ERROR","msg":"configuration not reloaded; the one before stays in use"}`
	shadowReloaded = `{"level":"INFO","msg":"comparing"}`
)

// look has serve look at its files until a change has settled.
func (r *reloading) look() {
	r.looks <- time.Time{}
	r.looks <- time.Time{}
}

func (r *reloading) write(t testing.TB, name, text string) {
	t.Helper()
	// As editors do: nobody sees half of it.
	temporary := filepath.Join(r.dir, name+"~")
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(r.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// post exchanges a token and returns the status and what an answer tells its
// configuration by.
func (r *reloading) post(t *testing.T, client *http.Client) string {
	now := time.Now().Unix()
	token := r.key.Token(map[string]any{"iss": "https://idp.example.com", "sub": "a", "aud": "app", "iat": now, "exp": now + 600})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, nil)
	if err != nil {
		t.Error(err)
		return ""
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	var body struct {
		Identity string
		Reason   string
		Grants   map[string]map[string]string
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%d %s%s %s", resp.StatusCode, body.Reason, body.Identity, body.Grants["data_sync"]["service_sid"])
}

func answerOf(n int) string { return fmt.Sprintf("200 v%d__a IS%032d", n, n) }

// TestServeReloads follows serve through good and bad changes.
func TestServeReloads(t *testing.T) {
	t.Parallel()
	r := newReloading(t)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	wantAnswer := func(n int) {
		t.Helper()
		if got := r.post(t, client); got != answerOf(n) {
			t.Errorf("answer %s, want %s", got, answerOf(n))
		}
	}
	wantAnswer(0)
	r.write(t, "config.yaml", reloadConfig(1))
	r.look()
	r.want(t, servingEvent)
	wantAnswer(1)
	r.write(t, "config.yaml", strings.Replace(reloadConfig(2), "when: \"claims", "when: \"claim", 2))
	r.hangups <- syscall.SIGHUP
	r.want(t, fmt.Sprintf(notReloaded, `config.yaml:10:38: rules[0].when: unknown name "claim" [unknown-name], the first of 2 faults`))
	wantAnswer(1)
	r.write(t, "config.yaml", strings.Replace(reloadConfig(2), "127.0.0.1:0", "127.0.0.1:1", 1))
	r.look()
	r.want(t, fmt.Sprintf(notReloaded, `config.yaml:2:18: server.listen: this cannot change while the service runs [needs-restart]`))
	wantAnswer(1)
	r.write(t, "config.yaml", strings.Replace(reloadConfig(2), "audit: {key: {file: audit.key}}", "audit: {key: {file: audit.key}, on_failure: drop}", 1))
	r.look()
	r.want(t, fmt.Sprintf(notReloaded, `config.yaml:4:45: audit.on_failure: audit.on_failure is not available in this version [not-available]`))
	wantAnswer(1)
	r.write(t, "config.yaml", reloadConfig(2))
	r.hangups <- syscall.SIGHUP
	r.want(t, servingEvent)
	wantAnswer(2)
	r.hangups <- syscall.SIGHUP // as a person may, to be sure
	r.want(t, servingEvent)
	wantAnswer(2)
}

// TestServeReloadsShadow has the candidate's file change.
func TestServeReloadsShadow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shadow := filepath.Join(dir, "new.yaml")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(shadow, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"secret": "ASecretOfTheseTestsAlone00000001", "audit.key": "AKeyOfTheseTestsAlone0000000000001", "keys.json": keys1} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(reloadConfig(1))
	r := newReloading(t, "--shadow", shadow)
	r.want(t, shadowReloaded)
	put(reloadConfig(2))
	r.look()
	r.want(t, shadowReloaded)
	put("rules: {}")
	r.look()
	if got := <-r.events; !strings.HasPrefix(got, `{"error":"`+filepath.Join(dir, "new.yaml")+`:1:1: `) || !strings.HasSuffix(got, `"msg":"shadow not reloaded; the one before stays in use"}`) {
		t.Errorf("event %s", got)
	}
	client := &http.Client{}
	defer client.CloseIdleConnections()
	if got := r.post(t, client); got != answerOf(0) {
		t.Errorf("answer %s", got)
	}
	r.stop()
	var rest []string
	for event := range r.events {
		rest = append(rest, event)
	}
	want := []string{
		`{"changes":["widens identity","widens sync.service_sid"],"issuer":"idp","level":"INFO","live":"granted","msg":"shadow differs","suppressed":0,"widens":true}`,
		`{"different":1,"dropped":0,"failed":0,"level":"INFO","msg":"shadow so far","seen":1,"widened":1}`,
	}
	if diff := cmp.Diff(want, rest); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestServeReloadsUnderLoad changes files twenty times while many post, three
// times to what cannot be served. Each answer is that of one of the
// configurations that were served between the request's begin and its end.
func TestServeReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	const reloads = 20
	r := newReloading(t)
	broken := map[int]struct{ text, event string }{
		5:  {"version: 1\nrules: 'a' in b\n", `config.yaml:2:8: the text goes on behind its closing quote [yaml-syntax]`},
		11: {reloadConfig(11) + "tests: [{name: a, issuer: idp, claims: {sub: a}, expect: {identity: b}}]\n", `config.yaml:12:69: tests[0].expect.identity: test "a": got "v11__a" [test-failed]`},
		17: {strings.Replace(reloadConfig(17), "file: secret", "file: none", 1), `config.yaml:6:139: accounts[0].api_key_secret.file: none: no such file or directory [unreadable-file]`},
	}
	var begun, done atomic.Int64 // the latest configuration that may be, and that must be served
	var stop atomic.Bool
	var count [reloads + 1]atomic.Int64
	var posts sync.WaitGroup
	for range 4 {
		posts.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for !stop.Load() {
				oldest := done.Load()
				got := r.post(t, client)
				newest := begun.Load()
				var n int64
				fmt.Sscanf(got, "200 v%d__", &n)
				if got != answerOf(int(n)) || n < oldest || n > newest {
					t.Errorf("between %d and %d: %s", oldest, newest, got)
					return
				}
				count[n].Add(1)
			}
		})
	}
	enough := func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for before := count[done.Load()].Load(); count[done.Load()].Load() < before+5 && !t.Failed(); {
			<-tick.C
		}
	}
	for n := 1; n <= reloads; n++ {
		enough()
		bad, isBad := broken[n]
		if isBad {
			r.write(t, "config.yaml", bad.text)
		} else {
			begun.Store(int64(n))
			r.write(t, "config.yaml", reloadConfig(n))
		}
		if n%2 == 0 {
			r.hangups <- syscall.SIGHUP
		} else {
			r.look()
		}
		if isBad {
			r.want(t, fmt.Sprintf(notReloaded, bad.event))
			continue
		}
		r.want(t, servingEvent)
		done.Store(int64(n))
	}
	enough()
	stop.Store(true)
	posts.Wait()
	total := int64(0)
	for i := range count {
		total += count[i].Load()
	}
	t.Logf("%d answers, %d reloads, %d of them broken", total, reloads, len(broken))
}

// TestServeReloadsManyRules has 10,000 rules be compiled while requests are
// answered; with the race detector, which takes its time, 1,000.
func TestServeReloadsManyRules(t *testing.T) {
	t.Parallel()
	rules := 10_000
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		rules = 1_000
	}
	r := newReloading(t)
	var b strings.Builder
	b.WriteString(reloadConfig(1))
	for i := range rules {
		fmt.Fprintf(&b, "  - {name: r%d, issuer: idp, when: \"claims.email == 'p%d@example.com' && claims.email_verified\", grants: {chat: {service_sid: IS%032d}}}\n", i, i, i)
	}
	r.write(t, "config.yaml", b.String())
	client := &http.Client{}
	defer client.CloseIdleConnections()
	if got := r.post(t, client); got != answerOf(0) {
		t.Errorf("before: %s", got)
	}
	r.hangups <- syscall.SIGHUP
	began, answers, slowest := time.Now(), 0, time.Duration(0)
	for served := false; !served; {
		select {
		case event := <-r.events:
			if served = event == servingEvent; !served {
				t.Fatalf("event %s", event)
			}
		default:
			posted := time.Now()
			switch got := r.post(t, client); got {
			case answerOf(0):
				answers++
			case answerOf(1): // the event is on its way
			default:
				t.Fatalf("meanwhile: %s", got)
			}
			slowest = max(slowest, time.Since(posted))
		}
	}
	if got := r.post(t, client); got != answerOf(1) {
		t.Errorf("afterwards: %s", got)
	}
	if answers == 0 {
		t.Error("nothing was answered meanwhile")
	}
	t.Logf("%d answers in the %v that %d rules took; the slowest took %v", answers, time.Since(began).Round(time.Millisecond), rules, slowest.Round(time.Millisecond))
}
