package idtoken

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"twilio-sts/config/rules"
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
