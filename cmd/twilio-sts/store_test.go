package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twilio-sts/exchange/exchangetest"
)

// TestServeSharesRedis serves twice from one configuration, and has the second
// know what the first has counted.
func TestServeSharesRedis(t *testing.T) {
	t.Parallel()
	redis := exchangetest.NewRedis(t)
	key := exchangetest.NewKey(t, "ES256", "k1")
	keys, err := json.Marshal(map[string]any{"keys": []any{key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := strings.NewReplacer(
		"version: 1\n", "version: 1\nserver: {listen: \"127.0.0.1:0\", admin_listen: \"\"}\nstore: {redis: {url: {file: redis.url}}}\n",
		"    jwks_file: keys.json\n", "    jwks_file: keys.json\n    max_uses: 1\n",
	).Replace(diffConfig) + `
  - name: everyone
    when: "true"
    grants: {sync: {service_sid: default}}
`
	for name, content := range map[string]string{"keys.json": string(keys), "redis.url": redis.URL() + "\n", "config.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "config.yaml")
	now := time.Unix(1_780_000_000, 0)
	token := key.Token(map[string]any{"iss": "https://idp.example.com", "sub": "1", "aud": "app", "iat": now.Unix(), "exp": now.Unix() + 3600})
	for i, want := range []string{`"access_token":`, `"reason":"replayed"`} {
		answer := serveOnce(t, file, now, token)
		if !strings.Contains(answer, want) {
			t.Errorf("replica %d answers %s, want %s", i+1, answer, want)
		}
	}
	redis.Kill()
	if answer := serveOnce(t, file, now, token); !strings.Contains(answer, `"reason":"store_unavailable"`) {
		t.Errorf("without Redis: %s", answer)
	}
}

// serveOnce runs serve for one request and returns its answer.
func serveOnce(t *testing.T, file string, now time.Time, token string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	events, stderr := io.Pipe()
	p := &program{
		getenv: func(string) (string, bool) { return "ASecretOfTheseTestsAlone00000001", true },
		stdout: io.Discard, stderr: stderr, now: func() time.Time { return now },
	}
	code := make(chan int, 1)
	go func() {
		code <- p.run(ctx, []string{"serve", "--config", file})
		stderr.Close()
	}()
	var serving struct{ Msg, Address string }
	decoder := json.NewDecoder(events)
	if err := decoder.Decode(&serving); err != nil || serving.Msg != "serving" {
		t.Fatalf("%+v, %v", serving, err)
	}
	drained := make(chan struct{})
	go func() {
		io.Copy(io.Discard, events) // until serve has ended
		close(drained)
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+serving.Address+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if c := <-code; c != exitFine {
		t.Errorf("exit code %d", c)
	}
	<-drained
	return string(answer)
}
