package config_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"log"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"twilio-sts/config"
)

// TestSecretIsNeverPrinted puts secrets wherever a program could by mistake
// print them from, and prints them in every way there is.
func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const text = "itIsASecret"
	secret := config.NewSecret(text)
	type holder struct {
		Exported   config.Secret
		unexported config.Secret
		Pointer    *config.Secret
		Any        any
		List       []config.Secret
		Map        map[string]config.Secret
		Key        map[config.Secret]string
	}
	held := holder{secret, secret, &secret, secret, []config.Secret{secret}, map[string]config.Secret{"a": secret}, map[config.Secret]string{secret: "a"}}
	cfg := config.Config{
		Server:   config.Server{AdminToken: secret},
		Accounts: []config.Account{{APIKeySecret: secret}},
		Audit:    config.Audit{Key: secret},
		Store:    config.Store{RedisURL: secret},
	}

	printed := map[string]string{}
	for name, v := range map[string]any{"secret": secret, "pointer": &secret, "struct": held, "pointer to struct": &held, "config": cfg, "pointer to config": &cfg} {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
			for _, flag := range []string{"", "+", "#", "-", " ", "0", "+#", "# ", "20", ".3"} {
				format := "%" + flag + string(verb)
				printed[name+" "+format] = fmt.Sprintf(format, v)
			}
		}
		printed[name+" Sprint"] = fmt.Sprint(v)
		printed[name+" Errorf"] = fmt.Errorf("a: %v", v).Error()
		printed[name+" Join"] = errors.Join(fmt.Errorf("%+v", v)).Error()

		var b bytes.Buffer
		b.Reset()
		log.New(&b, "", 0).Print(v)
		printed[name+" log"] = b.String()
		for kind, handler := range map[string]slog.Handler{"text": slog.NewTextHandler(&b, nil), "JSON": slog.NewJSONHandler(&b, nil)} {
			b.Reset()
			slog.New(handler).With("with", v).WithGroup("group").Info("message", "value", v, slog.Group("more", "value", v))
			printed[name+" slog "+kind] = b.String()
		}
		b.Reset()
		if err := template.Must(template.New("").Parse(`{{.}} {{printf "%#v" .}} <a onclick="f({{.}})" href="{{.}}">`)).Execute(&b, v); err == nil {
			printed[name+" template"] = b.String()
		}
		b.Reset()
		err := gob.NewEncoder(&b).Encode(v)
		printed[name+" gob"] = fmt.Sprint(b.String(), err)
		data, err := json.Marshal(v)
		printed[name+" JSON"] = fmt.Sprint(string(data), err)
		data, err = xml.Marshal(v)
		printed[name+" XML"] = fmt.Sprint(string(data), err)
		data, err = yaml.Dump(v)
		printed[name+" YAML"] = fmt.Sprint(string(data), err)
	}
	for how, out := range printed {
		lower := strings.ToLower(out)
		for _, form := range []string{text, text[:3], fmt.Sprintf("%x", text), fmt.Sprintf("% x", text), fmt.Sprintf("%v", []byte(text)), "aXRJc0FTZWNyZXQ"} {
			if strings.Contains(lower, strings.ToLower(form)) {
				t.Errorf("%s: %s", how, out)
			}
		}
	}

	for _, tt := range []struct{ how, want string }{
		{"secret %v", "<secret>"},
		{"secret %#v", "<secret>"},
		{"secret %x", "<secret>"},
		{"secret %d", "<secret>"},
		{"secret JSON", "\"\\u003csecret\\u003e\"<nil>"},
		{"secret YAML", "<secret>\n<nil>"},
		{"secret XML", "<Secret>&lt;secret&gt;</Secret><nil>"},
		{"secret log", "<secret>\n"},
	} {
		if got := printed[tt.how]; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.how, got, tt.want)
		}
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	var none config.Secret
	if none.IsSet() || none.Reveal() != "" || fmt.Sprint(none) != "<secret>" {
		t.Errorf("the zero secret: %t %q %v", none.IsSet(), none.Reveal(), none)
	}
	if s := config.NewSecret("a"); !s.IsSet() || s.Reveal() != "a" {
		t.Errorf("a secret: %t %q", s.IsSet(), s.Reveal())
	}
}
