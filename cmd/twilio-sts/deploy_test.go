package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

func readDeploy(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// theOne returns what the one match of an expression has in its parentheses.
func theOne(t *testing.T, expression, text string) string {
	t.Helper()
	found := regexp.MustCompile(expression).FindAllStringSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("%d matches of %s, want one", len(found), expression)
	}
	return found[0][1]
}

// TestShippedCommands runs every command line that is shipped, with --help: its
// command and its flags have to be there.
func TestShippedCommands(t *testing.T) {
	t.Parallel()
	dockerfile := readDeploy(t, "Dockerfile")
	array := func(expression, text string) []string {
		var words []string
		if err := yaml.Unmarshal([]byte(theOne(t, expression, text)), &words); err != nil {
			t.Fatal(err)
		}
		return words
	}
	entrypoint := array(`(?m)^ENTRYPOINT (.+)$`, dockerfile)
	commands := map[string][]string{
		"image":       append(entrypoint, array(`(?m)^CMD (.+)$`, dockerfile)...),
		"healthcheck": array(`(?m)^HEALTHCHECK .*CMD (.+)$`, dockerfile),
		"pod":         append(entrypoint, array(`(?m)^ +args: (.+)$`, readDeploy(t, "config/deploy/kubernetes/deployment.yaml"))...),
		"unit":        strings.Fields(theOne(t, `(?m)^ExecStart=(.+)$`, readDeploy(t, "config/deploy/systemd/twilio-sts.service"))),
	}
	for name, words := range commands {
		if filepath.Base(words[0]) != "twilio-sts" {
			t.Errorf("%s: runs %s", name, words[0])
		}
		if out, err := exec.CommandContext(limited(t), "twilio-sts", append(words[1:], "--help")...).CombinedOutput(); err != nil {
			t.Errorf("%s: %q: %v\n%s", name, words, err, out)
		}
	}
}

// TestImage: the image is built as a release is, and holds nothing to run as
// root or to run a shell with.
func TestImage(t *testing.T) {
	t.Parallel()
	dockerfile := readDeploy(t, "Dockerfile")
	if got, want := theOne(t, `(?m)^RUN .*(go build .+) -o `, dockerfile), theOne(t, `(?m)(go build .+) -o `, readDeploy(t, ".ci/release")); got != want {
		t.Errorf("the image is built by %q, a release by %q", got, want)
	}
	if least, got := theOne(t, `(?m)^go (\d+\.\d+)`, readDeploy(t, "go.mod")), theOne(t, `GO_IMAGE=golang:(\d+\.\d+)`, dockerfile); got != least {
		t.Errorf("the image is built by Go %s, and go.mod says %s", got, least)
	}
	_, last, _ := strings.Cut(dockerfile, "\nFROM scratch\n")
	if user := theOne(t, `(?m)^USER (.+)$`, last); user != "65532:65532" {
		t.Errorf("the user is %s", user)
	}
}

// TestManifests holds the manifests against each other, the configuration they
// ship and what the service does: whether they are well formed at all is for a
// validator.
func TestManifests(t *testing.T) {
	t.Parallel()
	const dir = "config/deploy/kubernetes/"
	text := readDeploy(t, dir+"config.yaml")
	cfg, err := config.Parse("config.yaml", []byte(text), config.Options{NoSecrets: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings)+len(cfg.NotYet) > 0 {
		t.Error(cfg.Warnings, cfg.NotYet)
	}

	type labels map[string]string
	type selector struct {
		MatchLabels labels `yaml:"matchLabels"`
	}
	var deployment struct {
		Spec struct {
			Selector selector
			Template struct {
				Metadata struct{ Labels labels }
				Spec     struct {
					Grace  int `yaml:"terminationGracePeriodSeconds"`
					Spread []struct {
						Selector selector `yaml:"labelSelector"`
					} `yaml:"topologySpreadConstraints"`
					Containers []struct {
						Ports []struct {
							Name string
							Port int `yaml:"containerPort"`
						}
						Lifecycle struct {
							PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
						}
					}
				}
			}
		}
	}
	var service struct{ Spec struct{ Selector labels } }
	var budget struct{ Spec struct{ Selector selector } }
	var policy struct {
		Spec struct {
			Selector selector `yaml:"podSelector"`
		}
	}
	for name, to := range map[string]any{"deployment": &deployment, "service": &service, "poddisruptionbudget": &budget, "networkpolicy": &policy} {
		if err := yaml.Unmarshal([]byte(readDeploy(t, dir+name+".yaml")), to); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	pod := deployment.Spec.Template
	container := pod.Spec.Containers[0]

	selected := map[string]labels{"deployment": deployment.Spec.Selector.MatchLabels, "service": service.Spec.Selector, "budget": budget.Spec.Selector.MatchLabels, "policy": policy.Spec.Selector.MatchLabels}
	for i, spread := range pod.Spec.Spread {
		selected[fmt.Sprint("spread ", i)] = spread.Selector.MatchLabels
	}
	for name, l := range selected {
		if len(l) == 0 || !maps.Equal(l, pod.Metadata.Labels) {
			t.Errorf("%s selects %v, and the pods are %v", name, l, pod.Metadata.Labels)
		}
	}

	var ports []string
	for _, p := range container.Ports {
		ports = append(ports, fmt.Sprintf("%s :%d", p.Name, p.Port))
	}
	if want := []string{"http " + cfg.Server.Listen, "admin " + cfg.Server.AdminListen}; !slices.Equal(ports, want) {
		t.Errorf("the ports are %v, the configuration has %v", ports, want)
	}

	const drains = 25 // seconds, as the README says
	if need := container.Lifecycle.PreStop.Sleep.Seconds + drains; pod.Spec.Grace < need {
		t.Errorf("the pod has %d s to end, and needs %d", pod.Spec.Grace, need)
	}

	// What the configuration reads, the Secret has.
	var read, made []string
	for _, m := range regexp.MustCompile(`(?m)^[^#\n]*\{file: /secrets/([a-z-]+)\}`).FindAllStringSubmatch(text, -1) {
		read = append(read, m[1])
	}
	for _, m := range regexp.MustCompile(`--from-file=([a-z-]+)`).FindAllStringSubmatch(readDeploy(t, dir+"kustomization.yaml"), -1) {
		made = append(made, m[1])
	}
	slices.Sort(read)
	slices.Sort(made)
	if len(read) == 0 || !slices.Equal(read, made) {
		t.Errorf("the configuration reads %v, the Secret is made of %v", read, made)
	}
}

// TestBehindNginx runs the service behind a real nginx that has the shipped
// configuration, with nothing but its places changed.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx, err = exec.LookPath("/usr/sbin/nginx")
	}
	if (err != nil || runtime.GOOS != "linux") && os.Getenv("TWILIO_STS_REQUIRE") == "" {
		t.Skip("nginx is not installed, or this is not Linux")
	}
	key := exchangetest.NewKey(t, "ES256", "k1")
	var audit bytes.Buffer
	backend := httptest.NewServer(behindProxy(t, key, &audit))
	defer backend.Close()
	front := startNginx(t, nginx, strings.TrimPrefix(backend.URL, "http://"))

	now := time.Now().Unix()
	token := key.Token(map[string]any{"iss": "https://idp.example.com", "sub": "ada", "aud": "app", "iat": now, "exp": now + 3600})
	tests := []struct {
		name, url, token string
		body             string
		want             string
	}{
		{name: "a token", url: "/token", token: token, want: "200 video"},
		{name: "the longest bearer token", url: "/token", token: strings.Repeat("x", 16<<10), want: "400 malformed_token"},
		{name: "a body too large", url: "/token", body: strings.Repeat("x", 33<<10), want: "413 malformed_request"},
		{name: "a token in the URL", url: "/token?id_token=" + token, want: "400 malformed_request"},
	}
	for _, test := range tests {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front.url+test.url, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", "203.0.113.9, 127.0.0.1") // a lie
		if r.Header.Set("Content-Type", "application/x-www-form-urlencoded"); test.token != "" {
			r.Header.Set("Authorization", "Bearer "+test.token)
		}
		resp, err := front.client.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var answer struct{ Scope, Reason string }
		if err := errors.Join(err, json.Unmarshal(body, &answer)); err != nil {
			t.Errorf("%s: %v in %s %s", test.name, err, resp.Status, body)
		} else if got := fmt.Sprintf("%d %s%s", resp.StatusCode, answer.Scope, answer.Reason); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}

	backend.Close() // what was written can be read
	var line struct{ Address string }
	if err := json.Unmarshal(audit.Bytes(), &line); err != nil || line.Address != "127.0.0.2" {
		t.Errorf("the audit has the address %q, want the client's, 127.0.0.2: %v", line.Address, err)
	}
	front.stop()
	if log, err := os.ReadFile(front.accessLog); err != nil || strings.Contains(string(log), token) || strings.Count(string(log), " POST /token ") != len(tests) {
		t.Errorf("the access log is %v\n%s", err, log)
	}
}

// behindProxy is a service that trusts a proxy on this machine.
func behindProxy(t *testing.T, key *exchangetest.Key, audit io.Writer) http.Handler {
	t.Helper()
	keys, err := json.Marshal(map[string]any{"keys": []any{key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(diffConfig, "version: 1\n", "version: 1\nserver: {trusted_proxies: [127.0.0.1]}\n", 1) + `
  - name: all
    when: "true"
    grants: {video: {room: lobby}}
`
	cfg, err := config.Parse("config.yaml", []byte(text), config.Options{
		Getenv:   func(string) (string, bool) { return "ASecretOfTheseTestsAlone00000001", true },
		ReadFile: func(string) ([]byte, error) { return keys, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	service, err := exchange.New(cfg, exchange.Options{Audit: audit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	service.Start(t.Context())
	return service.Handler()
}

// A front is a running nginx.
type front struct {
	url, accessLog string
	client         *http.Client // whose address is 127.0.0.2
	stop           func()
}

func startNginx(t *testing.T, nginx, backend string) *front {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()

	// A certificate for example.com, and a client that trusts it.
	tlsServer := httptest.NewTLSServer(nil)
	defer tlsServer.Close()
	certificate := tlsServer.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{url: "https://" + address, accessLog: filepath.Join(dir, "access.log"), client: tlsServer.Client()}
	transport := f.client.Transport.(*http.Transport)
	transport.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext

	site := readDeploy(t, "config/deploy/nginx/twilio-sts.conf")
	for _, place := range [][2]string{
		{"server 127.0.0.1:8080;", "server " + backend + ";"},
		{"listen 443 ssl;", "listen " + address + " ssl;"},
		{"/etc/nginx/tls/token.example.com.crt", filepath.Join(dir, "tls.crt")},
		{"/etc/nginx/tls/token.example.com.key", filepath.Join(dir, "tls.key")},
		{"/var/log/nginx/twilio-sts.log", f.accessLog},
	} {
		if strings.Count(site, place[0]) != 1 {
			t.Fatalf("%q is there %d times, want once", place[0], strings.Count(site, place[0]))
		}
		site = strings.Replace(site, place[0], place[1], 1)
	}
	whole := "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		whole += kind + "_temp_path " + kind + ";\n"
	}
	files := map[string][]byte{
		"nginx.conf": []byte(whole + site + "}\n"),
		"tls.crt":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		"tls.key":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	ctx, kill := context.WithTimeout(context.Background(), readmeWait)
	cmd := exec.CommandContext(ctx, nginx, "-p", dir, "-c", "nginx.conf")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // its fast shutdown
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }() // its error is that it was interrupted
	f.stop = func() { kill(); <-ended }
	t.Cleanup(f.stop)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return f
		}
		select {
		case <-ended:
			t.Fatalf("nginx ended: %s", &stderr)
		default:
		}
	}
}
