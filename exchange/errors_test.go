package exchange

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"twilio-sts/config/rules"
)

// declaredReasons reads the constants of type Reason from their source, so
// that one added there and forgotten here is found.
func declaredReasons(t *testing.T) []rules.Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../config/rules/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []rules.Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Reason" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, rules.Reason(word))
		}
		return true
	})
	return reasons
}

func TestEveryReasonHasOneAnswer(t *testing.T) {
	reasons := declaredReasons(t)
	if len(reasons) != len(verdicts) {
		t.Errorf("%d reasons are declared and %d have an answer", len(reasons), len(verdicts))
	}
	for _, reason := range reasons {
		t.Run(string(reason), func(t *testing.T) {
			v, ok := verdicts[reason]
			if !ok {
				t.Fatal("no answer")
			}
			if v.description != describable(v.description) || v.description == "" {
				t.Errorf("description %q has characters that RFC 6749 §5.2 forbids", v.description)
			}
			switch v.action {
			case reauthenticate, retry, forbidden, fixRequest:
			default:
				t.Errorf("action %q", v.action)
			}
			if v.status == 401 || v.status < 400 {
				t.Errorf("status %d", v.status)
			}
			if waits(v.status) != (v.code == "temporarily_unavailable") {
				t.Errorf("status %d goes with %s", v.status, v.code)
			}
		})
	}
}

func TestAnswerTo(t *testing.T) {
	for _, test := range []struct {
		name   string
		err    error
		status int
		want   errorBody
	}{
		{"refusal", rules.Refuse(rules.Denied, "rule %q", "secret-rule"), 400,
			errorBody{"invalid_request", "access is denied", "denied", "forbidden", "t"}},
		{"wrapped refusal", fmt.Errorf("deciding: %w", rules.Refuse(rules.NoRule, "none")), 400,
			errorBody{"invalid_request", "nothing is granted to this person", "no_rule", "forbidden", "t"}},
		{"unknown error tells nothing", errors.New("dial tcp 10.0.0.1"), 500,
			errorBody{"server_error", "something went wrong here", "internal", "retry", "t"}},
		{"reason without an answer", rules.Refuse("made_up", "x"), 500,
			errorBody{"server_error", "something went wrong here", "internal", "retry", "t"}},
		{"request detail is for the caller", malformed("subject_token is missing"), 400,
			errorBody{"invalid_request", "subject_token is missing", "malformed_request", "fix_request", "t"}},
		{"status of its own", malformedWith(413, "the body is larger than 32 KiB"), 413,
			errorBody{"invalid_request", "the body is larger than 32 KiB", "malformed_request", "fix_request", "t"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := answerTo(test.err, "t")
			if status != test.status || body != test.want {
				t.Errorf("got %d %+v, want %d %+v", status, body, test.status, test.want)
			}
		})
	}
}

func TestDescribable(t *testing.T) {
	if got, want := describable("a \"b\"\\\n\x7fé c"), "a b c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
