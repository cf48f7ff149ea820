package rules

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// An activation is what the variables of conditions and values stand for in
// one decision. It also remembers why the last read failed, for the trace.
type activation struct {
	in        *Input
	claims    *object
	request   *object
	pseudonym func(issuer, s string) string
	converted map[string]ref.Val // claims that were read before
	program   *program           // being evaluated
	failure   failure            // the last read of a claim or parameter that failed
	hidden    []string           // what program read and Input.Known does not list
	missing   []string           // what was hidden from programs that hang on it
}

// A failure is why a read failed.
type failure struct {
	noun, name string
	want       string // the type it is not of; "" for one that is absent
}

func newActivation(in *Input, claimTypes map[string]claimType, pseudonym func(issuer, s string) string) *activation {
	a := &activation{in: in, pseudonym: pseudonym, converted: make(map[string]ref.Val, 8)}
	a.claims = &object{noun: "claim", act: a, typ: claimsType, find: func(name string) ref.Val {
		return a.claim(name, claimTypes[name])
	}}
	a.request = &object{noun: "parameter", act: a, typ: requestType, find: func(name string) ref.Val {
		if !in.Known.parameter(name) {
			return a.hide("request." + name)
		}
		if value, ok := in.Request[name]; ok {
			return types.String(value)
		}
		return nil
	}}
	return a
}

// ResolveName implements CEL's Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "claims":
		return a.claims, true
	case "request":
		return a.request, true
	case "issuer":
		return types.String(a.in.Issuer), true
	case "client":
		return types.String(a.in.Client), true
	case "now":
		return types.Timestamp{Time: a.in.Now.UTC()}, true
	case pseudonymContext:
		return &object{act: a, typ: requestType}, true
	}
	return nil, false
}

// Parent implements CEL's Activation.
func (a *activation) Parent() activationParent { return nil }

// claim returns a claim as its type says, nil when it is absent, and an error
// value when it is not of its type.
func (a *activation) claim(name string, t claimType) ref.Val {
	if !a.in.Known.claim(name) {
		return a.hide(name)
	}
	raw, ok := a.in.Claims[name]
	if !ok || raw == nil {
		return nil
	}
	val, ok := a.converted[name]
	if !ok {
		val = t.convert(raw)
		a.converted[name] = val
	}
	if types.IsError(val) {
		a.failure = failure{noun: "claim", name: name, want: t.String()}
	}
	return val
}

// hide notes that something was read which is not known. It is an error value
// also to who only asks whether it is there, so && and || absorb it where the
// other side decides, and nothing else does.
func (a *activation) hide(name string) ref.Val {
	a.hidden = append(a.hidden, name)
	return types.NewErr("%s is not known", name)
}

// begin makes p the program being evaluated.
func (a *activation) begin(p *program) {
	a.program, a.failure, a.hidden = p, failure{}, a.hidden[:0]
}

// hangs reports whether the program that was evaluated hangs on what is not
// known, and notes on what. One that came to a result does not, whatever it
// read on the way, but for its cost: with all claims known it might have been
// too much.
func (a *activation) hangs(err error) bool {
	if len(a.hidden) == 0 || err == nil && !isCostly(a.program.ast.Expr()) {
		return false
	}
	a.missing = append(a.missing, a.hidden...)
	return true
}

// An object is claims, or request: a map from names to values of which CEL
// sees a static type. Reading what is absent is an error, and reading a value
// that is not of its type is one even for who only asks whether it is there.
type object struct {
	noun string
	act  *activation
	typ  *types.Type
	find func(name string) ref.Val
}

var _ interface {
	ref.Val
	traits.Mapper
} = (*object)(nil)

// Find implements traits.Mapper; CEL reads members, optional members and
// has() by it.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(key), false
	}
	val := o.find(string(name))
	if val == nil {
		o.act.failure = failure{noun: o.noun, name: string(name)}
		return nil, false
	}
	return val, true
}

// Get implements traits.Indexer.
func (o *object) Get(key ref.Val) ref.Val {
	val, found := o.Find(key)
	switch {
	case found:
		return val
	case types.IsError(val):
		return val
	}
	return types.NewErr("no such key")
}

// Contains implements traits.Container, for 'name' in claims.
func (o *object) Contains(key ref.Val) ref.Val {
	val, found := o.Find(key)
	if types.IsError(val) {
		return val
	}
	return types.Bool(found)
}

// The rest of ref.Val and traits.Mapper: none of it is reachable, because
// checkReads lets nothing but members be read.

func (o *object) Type() ref.Type { return o.typ }
func (o *object) Value() any     { return o }
func (o *object) Size() ref.Val  { return types.NewErr("%ss have no size", o.noun) }
func (o *object) Equal(ref.Val) ref.Val {
	return types.NewErr("%ss cannot be compared", o.noun)
}
func (o *object) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, nil).Iterator()
}
func (o *object) ConvertToNative(reflect.Type) (any, error) {
	return nil, fmt.Errorf("%ss have no native form", o.noun)
}
func (o *object) ConvertToType(ref.Type) ref.Val {
	return types.NewErr("%ss cannot be converted", o.noun)
}

// A claimType is a declared type of claims; the zero claimType is dyn.
type claimType struct {
	elem string // string, int, double, bool, or "" for dyn
	list bool
}

func (t claimType) String() string {
	switch {
	case t.list:
		return "list(" + t.elem + ")"
	case t.elem == "":
		return "dyn"
	}
	return t.elem
}

func (t claimType) celType() *types.Type {
	if t.list {
		return types.NewListType(claimType{elem: t.elem}.celType())
	}
	switch t.elem {
	case "string":
		return types.StringType
	case "int":
		return types.IntType
	case "double":
		return types.DoubleType
	case "bool":
		return types.BoolType
	}
	return types.DynType
}

// parseClaimType reads string, int, double, bool or list(T) of them.
func parseClaimType(s string) (claimType, bool) {
	t := claimType{elem: s}
	if n := len("list()"); len(s) > n && s[:n-1] == "list(" && s[len(s)-1] == ')' {
		t = claimType{elem: s[n-1 : len(s)-1], list: true}
	}
	switch t.elem {
	case "string", "int", "double", "bool":
		return t, true
	}
	return claimType{}, false
}

// convert returns raw as a value of type t, or an error value. Providers that
// send a list of one as its only member, or a bool as text, are understood;
// nothing else is.
func (t claimType) convert(raw any) ref.Val {
	mismatch := func() ref.Val { return types.NewErr("a claim is not of type %s", t) }
	if t.list {
		if s, ok := raw.(string); ok && t.elem == "string" {
			raw = []any{s}
		}
		list, ok := raw.([]any)
		if !ok {
			return mismatch()
		}
		elem := claimType{elem: t.elem}
		vals := make([]ref.Val, 0, len(list))
		for _, item := range list {
			if item == nil {
				continue
			}
			val := elem.convert(item)
			if types.IsError(val) {
				return val
			}
			vals = append(vals, val)
		}
		return types.NewRefValList(types.DefaultTypeAdapter, vals)
	}
	switch raw := raw.(type) {
	case string:
		switch {
		case t.elem == "" || t.elem == "string":
			return types.String(raw)
		case t.elem == "bool" && (raw == "true" || raw == "false"):
			return types.Bool(raw == "true")
		}
	case bool:
		if t.elem == "" || t.elem == "bool" {
			return types.Bool(raw)
		}
	case int64:
		const exact = 1 << 53 // up to here every integer is a float64
		switch {
		case t.elem == "" || t.elem == "int":
			return types.Int(raw)
		case t.elem == "double" && -exact <= raw && raw <= exact:
			return types.Double(raw)
		}
	case float64:
		if t.elem == "" || t.elem == "double" {
			return types.Double(raw)
		}
	case []any, map[string]any:
		if t.elem == "" {
			return convertNested(raw)
		}
	}
	return mismatch()
}

// convertNested returns a JSON tree as CEL's value, without its nulls. A list
// or object with a number that cannot be represented is an error as a whole,
// because searching and comparing would pass over that member.
func convertNested(raw any) ref.Val {
	switch raw := raw.(type) {
	case []any:
		return claimType{list: true}.convert(raw)
	case map[string]any:
		members := make(map[string]any, len(raw))
		for name, member := range raw {
			if member == nil {
				continue
			}
			val := convertNested(member)
			if types.IsError(val) {
				return val
			}
			members[name] = val
		}
		return types.NewStringInterfaceMap(types.DefaultTypeAdapter, members)
	}
	return claimType{}.convert(raw)
}

// native returns a CEL value as plain Go data: nil, bool, string, int64,
// float64, []any and map[string]any. ok is false for anything else, and for
// numbers that JSON cannot hold.
func native(val ref.Val) (v any, ok bool) {
	switch val := val.(type) {
	case types.Null:
		return nil, true
	case types.Bool:
		return bool(val), true
	case types.String:
		return string(val), true
	case types.Int:
		return int64(val), true
	case types.Uint:
		return int64(val), uint64(val) <= math.MaxInt64
	case types.Double:
		return float64(val), !math.IsNaN(float64(val)) && !math.IsInf(float64(val), 0)
	case *types.Optional:
		if !val.HasValue() {
			return nil, true
		}
		return native(val.GetValue())
	case traits.Lister:
		list := []any{}
		for it := val.Iterator(); it.HasNext() == types.True; {
			item, ok := native(it.Next())
			if !ok {
				return nil, false
			}
			list = append(list, item)
		}
		return list, true
	case *object:
		return nil, false
	case traits.Mapper:
		members := map[string]any{}
		for it := val.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			name, isString := key.(types.String)
			member, ok := native(val.Get(key))
			if !ok || !isString {
				return nil, false
			}
			members[string(name)] = member
		}
		return members, true
	}
	return nil, false
}

// standardClaims are typed without being declared: OpenID Connect Core 1.0
// §2 and §5.1, Back-Channel Logout 1.0 §2.1.
func standardClaims() map[string]claimType {
	claims := map[string]claimType{
		"email_verified": {elem: "bool"}, "phone_number_verified": {elem: "bool"},
		"aud": {elem: "string", list: true}, "amr": {elem: "string", list: true},
	}
	for _, name := range []string{"exp", "iat", "nbf", "auth_time", "updated_at"} {
		claims[name] = claimType{elem: "int"}
	}
	for _, name := range []string{
		"iss", "sub", "azp", "nonce", "acr", "jti", "sid", "at_hash", "c_hash",
		"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
		"email", "gender", "birthdate", "zoneinfo", "locale", "phone_number",
	} {
		claims[name] = claimType{elem: "string"}
	}
	return claims
}

// timeOf returns a NumericDate claim, RFC 7519 §2. It must be a JSON number
// with an integral value from 1 to the end of the year 9999.
func timeOf(claim any) (time.Time, bool) {
	var seconds int64
	switch n := claim.(type) {
	case int64:
		seconds = n
	case float64:
		if n != math.Trunc(n) || n < 1 || n > maxNumericDate {
			return time.Time{}, false
		}
		seconds = int64(n)
	default:
		return time.Time{}, false
	}
	if seconds < 1 || seconds > maxNumericDate {
		return time.Time{}, false
	}
	return time.Unix(seconds, 0), true
}

const maxNumericDate = 253402300799 // 9999-12-31T23:59:59Z
