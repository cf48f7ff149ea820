package rules_test

import (
	"strings"
	"testing"

	"twilio-sts/config/rules"
)

// TestMistakes has what people write who think in another language.
func TestMistakes(t *testing.T) {
	for _, test := range []struct{ when, want string }{
		{"claims.a = 'x'", "9:=: = compares nothing [syntax] (write == to compare)"},
		{"claims.a and claims.b", `9:and: "and" is not an operator [syntax] (write && for and, || for or, ! for not)`},
		{"claims.a AND claims.b", `9:AND: "AND" is not an operator [syntax] (write && for and, || for or, ! for not)`},
		{"claims.a == 'x' or claims.b", `16:or: "or" is not an operator [syntax] (write && for and, || for or, ! for not)`},
		{"not claims.email_verified", `4:claims: "not" is not an operator [syntax] (write && for and, || for or, ! for not)`},
		{"!claims.a & claims.b", `10:&: "&" has no meaning here [syntax] (write && for and, || for or, ! for not)`},
		{"claims.a | claims.b", `9:|: "|" has no meaning here [syntax] (write && for and, || for or, ! for not)`},
		{"claims.a && && claims.b", `12:&&: "&&" is not expected here [syntax]`},
		{"claims.a || || claims.b", `12:||: "||" is not expected here [syntax]`},
		{"'x' contains claims.groups", "4:contains: contains is written behind a dot [syntax] (write x.contains(y); to search a list, y in x)"},
		{"claims.groups contains 'x'", "14:contains: contains is written behind a dot [syntax] (write x.contains(y); to search a list, y in x)"},
		{"contains(claims.groups, 'x')", "8:(claims.groups, 'x'): no matching overload for 'contains(list(string), string)' [type-mismatch] (write x.contains(y); to search a list, y in x)"},
		{"claims.groups.contains('x')", "22:('x'): no matching overload for 'list(string).contains(string)' [type-mismatch] (to search a list, write 'x' in claims.groups)"},
		{"claims.email.ends_with('x')", `13:ends_with: unknown function "ends_with" [unknown-name] (did you mean endsWith?)`},
		{"claims.email.EndsWith('x')", `13:EndsWith: unknown function "EndsWith" [unknown-name] (did you mean endsWith?)`},
		{"claims.email.endswith('x')", `13:endswith: unknown function "endswith" [unknown-name] (did you mean endsWith?)`},
		{"claims.a == ‘x’", `12:‘: curly quotes are not quotes here [syntax] (write ' or ")`},
		{"claims.a == “x”", `12:“: curly quotes are not quotes here [syntax] (write ' or ")`},
		{"has(claims['a'])", "10:[: has takes a claim by a dot [syntax] (write 'a' in claims)"},
		{`has(claims["https://a/b"]) && claims.b`, `10:[: has takes a claim by a dot [syntax] (write "https://a/b" in claims)`},
		{"has claims.a", "4:claims: has takes its claim in brackets [syntax] (write has(claims.x))"},
		{"exists(claims.a)", "0:exists: exists takes other arguments [unknown-name] (write has(claims.x) to ask whether it is there)"},
		{"claims.a exists", `9:exists: "exists" is not an operator [syntax] (write has(claims.x) to ask whether it is there)`},
		{"Claims.email == 'a'", `0:Claims: unknown name "Claims" [unknown-name] (did you mean claims?)`},
		{"claims.sub =~ '^a'", `11:=: "=~" has no meaning here [syntax] (write x.matches('^…$'))`},
		{"claims.sub like 'a%'", `11:like: "like" is not an operator [syntax] (write x.startsWith(y), x.endsWith(y) or x.matches('^…$'))`},
		{"claims.a is null", `9:is: "is" is not an operator [syntax] (write == to compare, and has(claims.x) to ask whether it is there)`},
		{"claims.a == nil", `12:nil: unknown name "nil" [unknown-name] (to ask whether a claim is there, write has(claims.x))`},
		{"claims.a == None", `12:None: unknown name "None" [unknown-name] (to ask whether a claim is there, write has(claims.x))`},
		{"claims.a == True", `12:True: unknown name "True" [unknown-name] (did you mean true?)`},
		{"claims.a == TRUE", `12:TRUE: unknown name "TRUE" [unknown-name] (did you mean true?)`},
		{"claims.a === 'x'", `11:=: "===" has no meaning here [syntax] (write == to compare)`},
		{"claims.a !== 'x'", `11:=: "!==" has no meaning here [syntax] (write != to compare)`},
		{"claims.a <> 'x'", `10:>: "<>" has no meaning here [syntax] (write != to compare)`},
		{"if claims.a then true", `0:if: "if" is not an operator [syntax] (write condition ? a : b)`},
		{"claims.groups.includes('x')", `14:includes: unknown function "includes" [unknown-name] (to search a list, write 'x' in claims.list)`},
		{"claims.groups.length > 0", "13:.length: a list(string) has no members [type] (write size(…))"},
		{"claims.groups.size > 0", "13:.size: a list(string) has no members [type] (write size(…))"},
		{"claims.groups has 'x'", `14:has: "has" is not an operator [syntax] (write has(claims.x) to ask whether it is there; to search a list, 'x' in claims.list)`},
		{"claims.groups in 'x'", "14:in 'x': no matching overload for 'list(string) in string' [type-mismatch] (write it the other way round: 'x' in claims.groups)"},
		{"'x' not in claims.groups", `4:not: "not in" is not an operator [syntax] (write !('x' in claims.list))`},
		{"claims.team in 'a', 'b'", "18:,: a list stands in square brackets [syntax] (write in ['a', 'b'])"},
		{"claims.team in ('a', 'b')", "19:,: a list stands in square brackets [syntax] (write in ['a', 'b'])"},
		{"claims.team == 'a' || 'b'", "22:'b': this is a string, and &&, || and ! put conditions together [type-mismatch] (write the comparison out on both sides: claims.x == 'a' || claims.x == 'b', or claims.x in ['a', 'b'])"},
		{"claims.groups == 'admin'", "14:== 'admin': no matching overload for 'list(string) == string' [type-mismatch] (this is a list; write 'admin' in claims.groups)"},
		{"claims.level > '3'", "13:> '3': no matching overload for 'int > string' [type-mismatch] (level is an int; write 3 without quotes)"},
		{"claims.level == '3'", "13:== '3': no matching overload for 'int == string' [type-mismatch] (level is an int; write 3 without quotes)"},
		{"claims.vip == 1", "11:== 1: no matching overload for 'bool == int' [type-mismatch] (vip is a bool; write claims.vip)"},
		{"claims.sub.toLowerCase() == 'a'", `11:toLowerCase: unknown function "toLowerCase" [unknown-name] (did you mean lowerAscii?)`},
		{"claims.sub.lower() == 'a'", `11:lower: unknown function "lower" [unknown-name] (did you mean lowerAscii?)`},
		{"lower(claims.sub) == 'a'", `0:lower: unknown function "lower" [unknown-name] (did you mean lowerAscii?)`},
		{"len(claims.groups) > 1", `0:len: unknown function "len" [unknown-name] (did you mean size?)`},
		{"claims.https://acme.com/team == 'a'", "12::: a name with such characters in it is written in quotes [syntax] (write claims['https://example.com/x'])"},
		{"claims.acme-team == 'a'", `12:team: unknown name "team" [unknown-name] (a name with a hyphen in it is written in quotes: claims['acme-team'])`},
		{"claims.custom:role == 'x'", "13::: a name with such characters in it is written in quotes [syntax] (write claims['https://example.com/x'])"},
		{"claims.email_verified == yes", `25:yes: unknown name "yes" [unknown-name] (did you mean true?)`},
		{"true;", `4:;: ";" has no meaning here [syntax] (leave it out)`},
		{"claims.a == 'x' # c", `16:#: "#" has no meaning here [syntax] (comments begin with // here)`},
		{"claims.exp > now", "11:> now: no matching overload for 'int > timestamp' [type-mismatch] (write timestamp(claims.exp))"},
		{"claims.auth_time > now - duration('5m')", "17:> now - duration('5m'): no matching overload for 'int > timestamp' [type-mismatch] (write timestamp(claims.auth_time))"},
		{`claims.a == "x'`, `12:"x': the string is not closed [syntax]`},
		{"${claims.a} == 'x'", `0:$: "${" has no meaning here [syntax] (conditions are written without ${ }, which stands in values alone)`},
		{"claims.iss == issuer.url", "20:.url: a string has no members [type]"},
		{"claims.email.endsWith '@a'", "22:'@a': a method's argument stands in brackets [syntax] (write ('@a'))"},
		{"claims.groups.any(g, g == 'x')", "14:any: unknown function \"any\" [unknown-name] (did you mean exists?)\n18:g: unknown name \"g\" [unknown-name]\n21:g: unknown name \"g\" [unknown-name]"},
		{"claims.groups.some(g => g == 'x')", `21:=: "=>" has no meaning here [syntax] (name the item and the test: claims.groups.exists(g, g == '…'))`},
		{"claims.groups.exists(g => g == 'x')", `23:=: "=>" has no meaning here [syntax] (name the item and the test: claims.groups.exists(g, g == '…'))`},
		{"claims?.team == 'a'", "rules[0].when: ?. is not an operator [syntax] (write .? in its place: claims.?x)"},
		{"claims.a ?? 'b' == 'x'", `10:?: "??" has no meaning here [syntax] (write claims.?x.orValue('…'))`},
		{"claims.email.regex('a')", `13:regex: unknown function "regex" [unknown-name] (did you mean matches?)`},
		{"claims.email.match('a')", `13:match: unknown function "match" [unknown-name] (did you mean matches?)`},
		{"claims.email.matches(/a/)", "21:/: a pattern is text [syntax] (write x.matches('^…$'))"},
		{"params.room == 'x'", `0:params: unknown name "params" [unknown-name] (did you mean request?)`},
		{"user.email == 'x'", `0:user: unknown name "user" [unknown-name] (did you mean claims?)`},
		{"token.sub == 'a'", `0:token: unknown name "token" [unknown-name] (did you mean claims?)`},
		{"jwt.sub == 'x'", `0:jwt: unknown name "jwt" [unknown-name] (did you mean claims?)`},
		{"email == 'x'", `0:email: unknown name "email" [unknown-name] (did you mean claims.email?)`},
		{"sub == 'a'", `0:sub: unknown name "sub" [unknown-name] (did you mean claims.sub?)`},
		{"groups.contains('x')", `0:groups.contains: unknown function "groups.contains" [unknown-name] (did you mean claims.groups?)`},
	} {
		t.Run(test.when, func(t *testing.T) {
			_, faults := rules.Compile(newSpec(grants(test.when, video("a"))))
			if got := strings.ReplaceAll(faultLines(test.when, faults), "rules[0].when ", ""); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
