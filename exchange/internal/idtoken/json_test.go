package idtoken

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/exchangetest"
)

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		text string
		want any // nil: refused
	}{
		{"0", int64(0)},
		{"-0", int64(0)},
		{"12345678", int64(12345678)},
		{"9007199254740993", int64(9007199254740993)},
		{"9223372036854775807", int64(9223372036854775807)},
		{"-9223372036854775808", int64(-9223372036854775808)},
		{"9223372036854775808", rules.Unrepresentable{}},
		{"1.0", 1.0},
		{"1e3", 1000.0},
		{"-1.5E-1", -0.15},
		{"1e400", rules.Unrepresentable{}},
		{"9007199254740993.0", 9007199254740992.0}, // halfway, to even
		{"0.0000123456789012345678", 0.0000123456789012345678},
		{"123456789.0123456789", 123456789.0123456789},
		{"123456789.01234567891", rules.Unrepresentable{}}, // 20 digits
		{"-12345678901234567890e-19", rules.Unrepresentable{}},
		{"0.000000000000000000000000000000", 0.0},
		{"01", nil},
		{"-", nil},
		{"+1", nil},
		{"1.", nil},
		{".5", nil},
		{"1e", nil},
		{"1e+", nil},
		{"0x10", nil},
		{"Infinity", nil},
	} {
		t.Run(test.text, func(t *testing.T) {
			got, err := parseObject([]byte(`{"n":`+test.text+`}`), claimsLimit)
			if test.want == nil {
				if err == nil {
					t.Errorf("accepted as %v", got)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got["n"], test.want) {
				t.Errorf("got %#v %v, want %#v", got["n"], err, test.want)
			}
		})
	}
}

func TestStrings(t *testing.T) {
	for text, want := range map[string]string{
		`a`:                   "a",
		`\"\\\/\b\f\n\r\t`:    "\"\\/\b\f\n\r\t",
		`\u00e9é`:             "éé",
		`\uD83D\uDE00 \u0000`: "😀 \x00",
	} {
		got, err := parseObject([]byte(`{"s":"`+text+`"}`), claimsLimit)
		if err != nil || got["s"] != want {
			t.Errorf("%s: got %q %v, want %q", text, got["s"], err, want)
		}
	}
	for _, text := range []string{`\x`, `\u12`, `\u12g4`, `\ud83d`, `\ud83dx`, `\ud83d\n`, `\ud83d\u0041`, `\`, "a\x00"} {
		if got, err := parseObject([]byte(`{"s":"`+text+`"}`), claimsLimit); err == nil {
			t.Errorf("%q: accepted as %q", text, got["s"])
		}
	}
}

// TestLimits has objects with as much in them as is read, and with one more.
func TestLimits(t *testing.T) {
	members := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`"%d":0`, i)
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	list := func(n int, item string) string {
		return `{"x":[` + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]}"
	}
	for _, test := range []struct {
		name  string
		of    func(n int) string
		limit jsonLimit
		most  int
	}{
		{"members", members, claimsLimit, 256},
		{"members of a header", members, headerLimit, 64},
		{"members inside", func(n int) string { return `{"x":{"y":[` + members(n) + `]}}` }, claimsLimit, 252},
		{"items", func(n int) string { return list(n, "0") }, claimsLimit, 509},
		{"empty objects", func(n int) string { return list(n, "{}") }, claimsLimit, 254},
		{"fractions", func(n int) string { return list(n, "0.5") }, claimsLimit, 29},
		{"depth", func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }, claimsLimit, 11},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parseObject([]byte(test.of(test.most)), test.limit); err != nil {
				t.Errorf("%d are refused", test.most)
			}
			if _, err := parseObject([]byte(test.of(test.most+1)), test.limit); err == nil {
				t.Errorf("%d are read", test.most+1)
			}
		})
	}
}

// TestGateIsFull refuses at once when as many signatures are being checked as
// may be, and goes on when there is room again.
func TestGateIsFull(t *testing.T) {
	key := exchangetest.NewKey(t, "RS256", "k1")
	now := time.Unix(1_780_000_000, 0)
	set, err := json.Marshal(map[string]any{"keys": []any{key.JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("config.yaml", []byte(`
version: 1
accounts:
  - name: main
    account_sid: AC0123456789abcdef0123456789abcdef
    api_key_sid: SK0123456789abcdef0123456789abcdef
    api_key_secret: AsecretThatIsNoAuthTokenAtAll123
issuers:
  - {name: idp, issuer: "https://idp.example", audiences: [app], jwks_file: keys.json, identity: "${escape(claims.sub)}"}
rules:
  - {name: all, issuer: any, when: "true", grants: {video: {room: a}}}
`), config.Options{ReadFile: func(string) ([]byte, error) { return set, nil }})
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(cfg, Options{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	good := key.Token(map[string]any{"iss": "https://idp.example", "sub": "u1", "aud": "app", "iat": now.Unix(), "exp": now.Unix() + 60})
	for range cap(v.gate) {
		v.gate <- struct{}{}
	}
	if _, err := v.Verify(context.Background(), good); rules.ReasonOf(err) != rules.Overloaded {
		t.Errorf("with a full gate: %v", err)
	}
	<-v.gate
	for range 2 { // each makes room for the next
		if _, err := v.Verify(context.Background(), good); err != nil {
			t.Errorf("with room for one: %v", err)
		}
	}
}

// FuzzParseObject holds the parser against encoding/json: what that refuses
// this refuses, and what both accept has equal values.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":{"b":[1,2.5,"x",true,null]}}`, `{"a":1,"a":2}`, `{"\u0061":1}`, `{"a":"\ud83d\ude00"}`, ` { "a" : [ ] } `,
		`{"iss":"https://idp.example/","aud":["app"],"exp":1780000000,"email_verified":true}`, `{"n":-0,"m":1e400,"o":99999999999999999999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseObject(data, claimsLimit)
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if !equal(got, want) {
			t.Fatalf("got %#v, encoding/json has %#v", got, want)
		}
	})
}

// equal compares a value with encoding/json's, whose numbers are still text.
func equal(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for name, w := range want {
			if !equal(got[name], w) {
				return false
			}
		}
		return true
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for i, w := range want {
			if !equal(got[i], w) {
				return false
			}
		}
		return true
	case json.Number:
		switch got := got.(type) {
		case int64:
			n, err := want.Int64()
			return err == nil && n == got
		case float64:
			x, err := want.Float64()
			return err == nil && x == got
		}
		_, ok := got.(rules.Unrepresentable)
		return ok
	}
	return reflect.DeepEqual(got, want)
}

// FuzzParse looks for a text that is taken for a token and is none.
func FuzzParse(f *testing.F) {
	for _, a := range exchangetest.NewCatalogue(f, time.Unix(1_780_000_000, 0)).Attacks {
		if len(a.Token) <= 4<<10 { // larger ones only slow it down
			f.Add(a.Token)
		}
	}
	f.Add("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("....")
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := parse(raw)
		if err != nil {
			if reason := rules.ReasonOf(err); reason != rules.MalformedToken && reason != rules.UnsupportedToken && reason != rules.AmbiguousClaim {
				t.Errorf("refused for %s", reason)
			}
			return
		}
		if strings.Count(raw, ".") != 2 || len(raw) > maxToken || !isAsymmetric(p.alg) || len(p.signature) == 0 {
			t.Errorf("accepted %q", raw)
		}
		again := canonical.EncodeToString(p.signature)
		if !strings.HasSuffix(raw, "."+again) || !json.Valid(p.payload) {
			t.Errorf("not canonical: %q", raw)
		}
	})
}
