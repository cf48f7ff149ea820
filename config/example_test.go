package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"twilio-sts/config"
)

const (
	accountSID = "AC0123456789abcdef0123456789abcdef"
	keySID     = "SK0123456789abcdef0123456789abcdef"
	keySecret  = "aVerySecretSecretOfAnAPIKey12345"
)

func getenv(name string) (string, bool) {
	values := map[string]string{
		"TWILIO_ACCOUNT_SID":    accountSID,
		"TWILIO_API_KEY_SID":    keySID,
		"TWILIO_API_KEY_SECRET": keySecret,
		"REDIS_URL":             "redis://localhost:6379",
		"EMPTY":                 "",
		"DOLLAR":                "${claims.sub}",
		"AUTH_TOKEN":            "0123456789abcdef0123456789abcdef",
		"PADDED":                "AC0123456789abcdef0123456789abcdef\r",
		"QUOTED":                `"itIsInAVariable"`,
		"SHELL":                 "${TWILIO_API_KEY_SECRET}",
	}
	v, ok := values[name]
	return v, ok
}

func TestExampleLoadsClean(t *testing.T) {
	cfg, err := config.Load("../config.example.yaml", config.Options{Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings)+len(cfg.NotYet) > 0 {
		t.Errorf("warnings %v, not available %v", cfg.Warnings, cfg.NotYet)
	}
	if len(cfg.Cases) != 2 {
		t.Errorf("%d cases", len(cfg.Cases))
	}
}

// TestExampleIsWhole takes away the comment signs, so that what is commented
// out cannot rot.
func TestExampleIsWhole(t *testing.T) {
	data, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	commentedKey := regexp.MustCompile(`(?m)^( *)# ?( *[a-z_]+: |  [a-z_]+:$|(?:parameters|limits|voice):$)`)
	whole := commentedKey.ReplaceAllString(string(data), "$1$2")
	for _, drop := range []string{
		`  tenants: []`, `  jwks_file: keys.json`, // contradict jwks_uri and the issuer
		`  insecure_any_origin: false`, `expires: 2027-01-01`,
	} {
		if !strings.Contains(whole, drop) {
			t.Errorf("%q is not in the example", drop)
		}
		whole = strings.Replace(whole, drop, "", 1)
	}
	files := map[string]string{"identity.key": strings.Repeat("k", 32), "admin.token": "t", "audit.key": "k"}
	cert, key := certificate(t)
	files["tls.crt"], files["tls.key"], files["ca.pem"] = cert, key, cert
	cfg, err := config.Parse("config.yaml", []byte(whole), config.Options{
		Getenv:    getenv,
		ReadFile:  readFrom(files),
		SkipTests: true, // they speak of the example as it is
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, whole)
	}
	var names []string
	for _, d := range cfg.NotYet {
		names = append(names, d.Path)
	}
	if got, want := strings.Join(names, " "), ""; got != want {
		t.Errorf("not available: %s, want %s", got, want)
	}
}

func readFrom(files map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if s, ok := files[path]; ok {
			return []byte(s), nil
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
}

// TestExampleHasEveryKey asks the loader for the keys it knows, by one in each
// place that it does not.
func TestExampleHasEveryKey(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const asking = `zzzzzzzz: 1
server: {zzzzzzzz: 1, tls: {zzzzzzzz: 1}}
accounts: [{zzzzzzzz: 1}]
tokens: {zzzzzzzz: 1}
issuers: [{zzzzzzzz: 1}]
parameters: {a: {zzzzzzzz: 1}}
limits: {zzzzzzzz: 1}
audit: {zzzzzzzz: 1}
store: {zzzzzzzz: 1, redis: {zzzzzzzz: 1}}
rules: [{zzzzzzzz: 1, grants: {zzzzzzzz: 1, voice: {zzzzzzzz: 1}, video: {zzzzzzzz: 1}, chat: {zzzzzzzz: 1}, sync: {zzzzzzzz: 1}, task_router: {zzzzzzzz: 1}}}]
tests: [{zzzzzzzz: 1, expect: {zzzzzzzz: 1}}]
`
	var places, keys int
	for line := range strings.SplitSeq(diagnose(t, asking, nil), "\n") {
		known, ok := strings.CutPrefix(line, "   hint: known here: ")
		if !ok {
			continue
		}
		places++
		for key := range strings.SplitSeq(known, ", ") {
			keys++
			if !regexp.MustCompile(`(?m)(^|[ {#])` + key + `:( |$)`).Match(example) {
				t.Errorf("%s is not in the example", key)
			}
		}
	}
	if places != 20 || keys < 100 {
		t.Errorf("%d keys in %d places", keys, places)
	}
}

// TestExampleExplains wants a sentence above each key that stands on a line of
// its own for the first time.
func TestExampleExplains(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`^[ #]*(- )?([a-z_]+):( |$)`)
	sentence := regexp.MustCompile(`^[ #]*# [A-Z][^#]*\.$`)
	before, explained := "", map[string]bool{}
	for line := range strings.Lines(string(example)) {
		line = strings.TrimSuffix(line, "\n")
		if m := key.FindStringSubmatch(line); m != nil && !sentence.MatchString(line) {
			if !explained[m[2]] && !sentence.MatchString(before) {
				t.Errorf("no sentence above %q", line)
			}
			explained[m[2]] = true
		}
		before = line
	}
	if len(explained) < 70 {
		t.Errorf("%d keys", len(explained))
	}
}
