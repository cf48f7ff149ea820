package rules

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

type activationParent = interpreter.Activation

// Bounds on what an operator may write. A rule that hits one is a program.
const (
	maxExpression = 4096   // characters
	maxRecursion  = 64     // nested parentheses, calls, …
	maxNesting    = 2      // comprehensions inside comprehensions
	maxCost       = 10_000 // CEL's cost units, where loops or regexes occur
)

// pseudonymContext is a variable that no one can write: pseudonym(s) is
// expanded to a call that passes it, because a CEL function sees nothing but
// its arguments.
const pseudonymContext = "@pseudonym"

var (
	claimsType  = types.NewObjectType("claims", traits.ContainerType|traits.IndexerType|traits.FieldTesterType)
	requestType = types.NewObjectType("request", traits.ContainerType|traits.IndexerType|traits.FieldTesterType)
)

// A provider tells CEL's checker the types of claims and parameters: claims are
// typed where known and open otherwise, parameters are those declared.
type provider struct {
	types.Provider
	claims     map[string]claimType
	parameters []string
}

func (p *provider) FindStructType(name string) (*types.Type, bool) {
	switch name {
	case "claims":
		return types.NewTypeTypeWithParam(claimsType), true
	case "request":
		return types.NewTypeTypeWithParam(requestType), true
	}
	return p.Provider.FindStructType(name)
}

func (p *provider) FindStructFieldType(structType, field string) (*types.FieldType, bool) {
	switch structType {
	case "claims":
		return &types.FieldType{Type: p.claims[field].celType()}, true
	case "request":
		return &types.FieldType{Type: types.StringType}, slices.Contains(p.parameters, field)
	}
	return p.Provider.FindStructFieldType(structType, field)
}

// newEnv returns the environment in which conditions and values are compiled
// for issuers with these types of claims.
func newEnv(claims map[string]claimType, parameters []string) (*cel.Env, error) {
	key, optional := types.StringType, types.NewOptionalType(types.DynType)
	return cel.NewEnv(
		cel.OptionalTypes(),
		ext.Strings(),
		ext.Sets(),
		cel.Variable("claims", claimsType),
		cel.Variable("request", requestType),
		cel.Variable("issuer", types.StringType),
		cel.Variable("client", types.StringType),
		cel.Variable("now", types.TimestampType),
		cel.Variable(pseudonymContext, requestType),
		// What the standard overloads say of maps, said of claims and request.
		cel.Function("_[_]",
			cel.Overload("index_claims", []*types.Type{claimsType, key}, types.DynType),
			cel.Overload("index_request", []*types.Type{requestType, key}, types.StringType)),
		cel.Function("_[?_]",
			cel.Overload("optional_index_claims", []*types.Type{claimsType, key}, optional),
			cel.Overload("optional_index_request", []*types.Type{requestType, key}, types.NewOptionalType(types.StringType))),
		cel.Function("@in",
			cel.Overload("in_claims", []*types.Type{key, claimsType}, types.BoolType),
			cel.Overload("in_request", []*types.Type{key, requestType}, types.BoolType)),
		cel.Function("escape",
			cel.Overload("escape_string", []*types.Type{key}, key, cel.UnaryBinding(celEscape))),
		cel.Macros(cel.GlobalMacro("pseudonym", 1, expandPseudonym)),
		cel.Function(pseudonymContext,
			cel.Overload("pseudonym_string", []*types.Type{requestType, key}, key, cel.BinaryBinding(celPseudonym))),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(maxRecursion),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNesting),
		),
		// Last, around the provider that the libraries above extended.
		func(e *cel.Env) (*cel.Env, error) {
			return cel.CustomTypeProvider(&provider{e.CELTypeProvider(), claims, parameters})(e)
		},
	)
}

func expandPseudonym(f cel.MacroExprFactory, _ celast.Expr, args []celast.Expr) (celast.Expr, *cel.Error) {
	return f.NewCall(pseudonymContext, f.NewIdent(pseudonymContext), args[0]), nil
}

func celPseudonym(context, s ref.Val) ref.Val {
	text, ok := s.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(s)
	}
	a := context.(*object).act
	if !a.in.Known.claim("iss") {
		return a.hide("iss")
	}
	return types.String(a.pseudonym(a.in.IssuerID, string(text)))
}

func celEscape(s ref.Val) ref.Val {
	text, ok := s.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(s)
	}
	return types.String(Escape(string(text)))
}

// Escape writes every byte outside [A-Za-z0-9] as _ and two upper-case hex
// digits. It is one-to-one, and what it returns has neither two underscores in
// a row nor any character that a Twilio product refuses in an identity.
func Escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02X", c)
		}
	}
	return b.String()
}

// Pseudonym names s for an issuer without telling it: 32 characters, the
// lower-case base32 of the first 20 bytes of HMAC-SHA256(key, issuer ‖ 0x00 ‖
// s).
func Pseudonym(key []byte, issuer, s string) string {
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, issuer+"\x00"+s)
	return strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:20]))
}

// typesKey names a set of claim types; issuers with equal ones share programs.
func typesKey(claims map[string]claimType) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		fmt.Fprintf(&b, "%q:%s;", name, claims[name])
	}
	return b.String()
}
