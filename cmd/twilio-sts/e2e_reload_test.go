package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"twilio-sts/exchange/exchangetest"
)

// reload changes the configuration of a running process: with SIGHUP, by which a
// faulty one is reported at once, and without, when the process looks itself.
func (e endToEnd) reload(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	key := exchangetest.NewKey(t, "ES256", "k1")
	write(t, filepath.Join(dir, "keys.json"), string(toJSON(t, map[string]any{"keys": []any{key.JWK()}})))
	text := func(prefix string) string {
		return fmt.Sprintf(e2eConfig, "127.0.0.1:0", "127.0.0.1:0") + `
issuers:
  - {name: idp, issuer: "https://idp.example.com", audiences: [app], algorithms: [ES256], jwks_file: keys.json, identity: "` + prefix + `__${escape(claims.sub)}"}
rules:
  - {name: all, issuer: idp, when: "claims.sub != ''", grants: {sync: {service_sid: default}}}
`
	}
	write(t, path, text("a"))

	cmd := exec.Command(e.program, "serve", "--config", path)
	cmd.Env = []string{
		"MAIN_ACCOUNT_SID=" + mainAccountSID, "MAIN_KEY_SID=" + mainKeySID, "MAIN_KEY_SECRET=" + mainKeySecret,
		"DUBLIN_ACCOUNT_SID=" + dublinAccountSID, "DUBLIN_KEY_SID=" + dublinKeySID, "DUBLIN_KEY_SECRET=" + dublinKeySecret,
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(4*e2eWait, func() { cmd.Process.Kill() }) // which ends the events
	defer kill.Stop()
	events := json.NewDecoder(stderr)
	type event struct{ Level, Msg, Error, Address, Config string }
	var last event
	next := func() event {
		t.Helper()
		for {
			var e event
			if err := events.Decode(&e); err != nil {
				cmd.Process.Kill()
				t.Fatalf("no more events: %v", err)
			}
			// A process that looked just before the signal says the same twice.
			if e != last && !strings.HasPrefix(e.Msg, "audit.key") {
				last = e
				return e
			}
		}
	}
	wantServing := func(how string) {
		t.Helper()
		if e := next(); e.Level != "INFO" || e.Msg != "serving" {
			t.Fatalf("%s: %+v", how, e)
		}
	}
	first := next()
	wantIdentity := func(want string) {
		t.Helper()
		now := time.Now().Unix()
		req, err := http.NewRequest(http.MethodPost, "http://"+first.Address+"/token", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key.Token(map[string]any{"iss": "https://idp.example.com", "sub": "1", "aud": "app", "iat": now, "exp": now + 600}))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body struct{ Identity string }
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Identity != want {
			t.Errorf("identity %q, %v, want %q", body.Identity, err, want)
		}
	}
	wantIdentity("a__1")

	write(t, path, text("b"))
	cmd.Process.Signal(syscall.SIGHUP)
	wantServing("SIGHUP")
	wantIdentity("b__1")

	write(t, path, text("c")+"nothing: of the kind\n")
	cmd.Process.Signal(syscall.SIGHUP)
	if e, want := next(), path+`:23:1: nothing: "nothing" is not a key here [unknown-key]`; e.Level != "ERROR" || e.Error != want {
		t.Errorf("a faulty file: %+v, want %s", e, want)
	}
	wantIdentity("b__1")

	write(t, path+".new", text("d"))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	wantServing("a change")
	wantIdentity("d__1")

	cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(io.MultiReader(events.Buffered(), stderr))
	if err := cmd.Wait(); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Errorf("the end: %v\n%s", err, rest)
	}
}
