package rules

import (
	"errors"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// A program is a compiled expression.
type program struct {
	prg   cel.Program
	typ   *types.Type
	reads reads
}

// reads are the top-level claims that an expression reads; all stands for
// reads whose name is computed.
type reads struct {
	claims []string
	all    bool
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
	p := &program{prg: prg, typ: checked.OutputType()}
	p.reads.visit(root)
	return p, nil
}

func isCostly(root celast.Expr) bool {
	costly := false
	celast.PreOrderVisit(root, celast.NewExprVisitor(func(e celast.Expr) {
		switch {
		case e.Kind() == celast.ComprehensionKind:
			costly = true
		case e.Kind() == celast.CallKind && e.AsCall().FunctionName() == "matches":
			costly = true
		}
	}))
	return costly
}

// visit collects what e reads of claims. Whatever touches claims otherwise
// than by a constant name counts as reading all of them.
func (r *reads) visit(e celast.Expr) {
	switch e.Kind() {
	case celast.IdentKind:
		if e.AsIdent() == "claims" {
			r.all = true
		}
	case celast.SelectKind:
		if s := e.AsSelect(); isClaims(s.Operand()) {
			r.claims = append(r.claims, s.FieldName())
		} else {
			r.visit(s.Operand())
		}
	case celast.CallKind:
		call := e.AsCall()
		args := call.Args()
		if len(args) == 2 {
			object, key := args[0], args[1]
			if call.FunctionName() == operators.In {
				object, key = key, object
			}
			if name, ok := constantString(key); ok && isClaims(object) {
				r.claims = append(r.claims, name)
				return
			}
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

func isClaims(e celast.Expr) bool { return e.Kind() == celast.IdentKind && e.AsIdent() == "claims" }

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
	act.failure = ""
	val, _, err := p.prg.Eval(act)
	if err != nil {
		return Undecided, act.why()
	}
	switch val {
	case types.True:
		return Matched, ""
	case types.False:
		return NotMatched, ""
	}
	return Undecided, "the result is not a bool"
}

// why tells what made an evaluation fail.
func (a *activation) why() string {
	if a.failure != "" {
		return a.failure
	}
	return "an expression in it has no value for these claims"
}

// errNotText is of a value that is neither a string nor an int.
var errNotText = errors.New("its value is not of the type that is wanted")

// value evaluates an expression to a value of the given kind: a string, a
// bool, or any JSON; nil is an empty optional or null.
func (p *program) value(act *activation, kind valueKind) (any, error) {
	act.failure = ""
	val, _, err := p.prg.Eval(act)
	if err != nil {
		return nil, errors.New(act.why())
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
	name := t.String()
	name = strings.TrimPrefix(name, "wrapper(")
	return strings.ReplaceAll(name, "optional_type", "optional")
}
