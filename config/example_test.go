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
	if got, want := strings.Join(names, " "), "server.admin_token store"; got != want {
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
