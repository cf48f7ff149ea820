package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// A program is a compiled expression.
type program struct {
	prg    cel.Program
	ast    *celast.AST
	typ    *types.Type
	reads  reads
	facts  []fact
	traced func() *tracer // made when first asked for
}

// reads are the top-level claims and the parameters that an expression reads;
// all stands for claims whose name is computed, and whole is where claims or
// request stands for itself instead of for a member.
type reads struct {
	claims, request []string // by names that are written
	all             bool
	whole           celast.Expr
	nodes           []readNode // in the order they are written
}

// A readNode is an expression that reads a member of claims or request.
type readNode struct {
	id         int64
	noun, name string // claim or parameter
	computed   bool   // there is no name until it is evaluated
}

// newProgram plans a checked expression. A cost limit is set where one could
// matter: without loops and regexes the work is bounded by the text.
func newProgram(env *cel.Env, checked *cel.Ast) (*program, error) {
	root := checked.NativeRep().Expr()
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if isCostly(root) {
		options = append(options, cel.CostLimit(maxCost))
	}
	prg, err := env.Program(checked, options...)
	if err != nil {
		return nil, err
	}
	p := &program{prg: prg, ast: checked.NativeRep(), typ: checked.OutputType(), facts: facts(root)}
	p.reads.visit(root)
	p.traced = sync.OnceValue(func() *tracer { return newTracer(env, checked, options) })
	return p, nil
}

func isCostly(root celast.Expr) bool {
	costly := false
	celast.PreOrderVisit(root, celast.NewExprVisitor(func(e celast.Expr) {
		switch {
		case e.Kind() == celast.ComprehensionKind:
			costly = true
		case e.Kind() == celast.CallKind:
			switch e.AsCall().FunctionName() {
			case "matches", "replace": // what these cost grows faster than what they are given
				costly = true
			}
		}
	}))
	return costly
}

// visit collects what e reads of claims. Whatever touches claims otherwise
// than by a constant name counts as reading all of them.
func (r *reads) visit(e celast.Expr) {
	switch e.Kind() {
	case celast.IdentKind:
		if isObject(e) {
			r.whole = e
		}
	case celast.SelectKind:
		if s := e.AsSelect(); isObject(s.Operand()) {
			r.member(e, s.Operand(), s.FieldName(), true)
		} else {
			r.visit(s.Operand())
		}
	case celast.CallKind:
		call := e.AsCall()
		args := call.Args()
		if object, key, ok := memberOf(call); ok {
			name, constant := constantString(key)
			r.member(e, object, name, constant)
			r.visit(key)
			return
		}
		if call.IsMemberFunction() {
			r.visit(call.Target())
		}
		for _, arg := range args {
			r.visit(arg)
		}
	case celast.ListKind:
		for _, item := range e.AsList().Elements() {
			r.visit(item)
		}
	case celast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			r.visit(entry.AsMapEntry().Key())
			r.visit(entry.AsMapEntry().Value())
		}
	case celast.StructKind:
		for _, f := range e.AsStruct().Fields() {
			r.visit(f.AsStructField().Value())
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		for _, part := range []celast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
			r.visit(part)
		}
	}
}

// member notes that e reads a member of claims or request.
func (r *reads) member(e, object celast.Expr, name string, constant bool) {
	node := readNode{id: e.ID(), noun: "parameter", name: name, computed: !constant}
	if isClaims(object) {
		node.noun = "claim"
	}
	r.nodes = append(r.nodes, node)
	switch claims := isClaims(object); {
	case claims && constant:
		r.claims = append(r.claims, name)
	case claims:
		r.all = true
	case constant:
		r.request = append(r.request, name)
	}
}

// memberOf takes apart claims[key], claims[?key], claims.?key and key in
// claims, and the same of request.
func memberOf(call celast.CallExpr) (object, key celast.Expr, ok bool) {
	args := call.Args()
	switch call.FunctionName() {
	case operators.Index, operators.OptIndex, operators.OptSelect:
		object, key = args[0], args[1]
	case operators.In:
		object, key = args[1], args[0]
	default:
		return nil, nil, false
	}
	return object, key, isObject(object)
}

func isObject(e celast.Expr) bool {
	return e.Kind() == celast.IdentKind && (e.AsIdent() == "claims" || e.AsIdent() == "request")
}

func constantString(e celast.Expr) (string, bool) {
	if e.Kind() != celast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// verdict evaluates a condition. Whatever is not plainly true or false is
// undecided, and why says so without telling a claim's value: CEL's own error
// texts may quote one.
func (p *program) verdict(act *activation) (v Verdict, why string) {
	act.begin(p)
	val, _, err := p.prg.Eval(act)
	if act.hangs(err) {
		return Unknown, ""
	}
	if err != nil {
		return Undecided, act.why(err)
	}
	return truth(val)
}

// truth is the verdict of a value that is no error.
func truth(val ref.Val) (v Verdict, why string) {
	switch val {
	case types.True:
		return Matched, ""
	case types.False:
		return NotMatched, ""
	}
	return Undecided, "the result is not a bool"
}

// why tells what made an evaluation fail. A name that was computed may itself
// be a claim's value, so only names written in the expression are told.
func (a *activation) why(err error) string {
	f := a.failure
	written := a.program.reads.claims
	if f.noun == "parameter" {
		written = a.program.reads.request
	}
	if f.want == "" && !strings.HasSuffix(err.Error(), ": "+f.name) { // that one was allowed to be absent
		f = failure{}
	}
	return f.text(slices.Contains(written, f.name))
}

// text tells a failure; the zero failure is one that is not of a read.
func (f failure) text(written bool) string {
	switch {
	case f.noun == "":
		return "an expression in it has no value for these claims"
	case !written:
		return "a " + f.noun + " whose name is computed cannot be read"
	case f.want == "":
		return fmt.Sprintf("%s %q is absent", f.noun, f.name)
	}
	return fmt.Sprintf("%s %q is not of type %s", f.noun, f.name, f.want)
}

// errNotText is of a value that is neither a string nor an int.
var errNotText = errors.New("its value is not of the type that is wanted")

// value evaluates an expression to a value of the given kind: a string, a
// bool, or any JSON; nil is an empty optional or null.
func (p *program) value(act *activation, kind valueKind) (any, error) {
	act.begin(p)
	val, _, err := p.prg.Eval(act)
	if act.hangs(err) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, errors.New(act.why(err))
	}
	v, ok := native(val)
	switch {
	case !ok:
		return nil, errNotText
	case v == nil || kind == anyValue:
		return v, nil
	}
	switch v := v.(type) {
	case string:
		if kind == textValue {
			return v, nil
		}
	case int64:
		if kind == textValue {
			return strconv.FormatInt(v, 10), nil
		}
	case bool:
		if kind == flagValue {
			return v, nil
		}
	}
	return nil, errNotText
}

// fits reports whether values of type t can be of this kind; only evaluation
// can tell for dyn.
func (kind valueKind) fits(t *types.Type, alone bool) bool {
	if alone && t.Kind() == types.OpaqueKind && t.TypeName() == "optional_type" {
		t = t.Parameters()[0]
	}
	switch t.Kind() {
	case types.DynKind:
		return true
	case types.NullTypeKind:
		return alone
	case types.StringKind, types.IntKind:
		return kind != flagValue
	case types.BoolKind:
		return kind != textValue
	case types.DoubleKind, types.ListKind, types.MapKind:
		return kind == anyValue
	}
	return false
}

// typeName is a type as an operator would write it.
func typeName(t *types.Type) string {
	return strings.ReplaceAll(cel.FormatCELType(t), "optional_type", "optional")
}
