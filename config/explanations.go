package config

import (
	"maps"
	"slices"
	"strings"
)

// Explain returns the paragraph on a diagnostic: what it says, why that
// matters, and what to write. ok is false for what is not a diagnostic's id.
func Explain(id string) (text string, ok bool) {
	text, ok = explanations()[id]
	return strings.Join(strings.Fields(text), " "), ok
}

// DiagnosticIDs returns the id of every diagnostic, sorted.
func DiagnosticIDs() []string { return slices.Sorted(maps.Keys(explanations())) }

func explanations() map[string]string {
	return map[string]string{
		// The document.
		"empty-file": `The file holds no document. A configuration without rules would refuse everybody, so an empty
			file is taken for a mistake: a wrong path, or a write that was cut off. twilio-sts init writes a
			configuration to start from.`,
		"yaml-syntax": `The file is not YAML. What the parser complains of often stands below its cause: a value that
			begins with a quote and goes on behind the closing one, such as 'a' in claims.groups, a colon and a space
			inside a plain value, or a tab. Put the whole value in double quotes, or write it below when: |.`,
		"yaml-tag": `A value that begins with ! is a YAML tag with nothing behind it: when: !has(claims.x) is an empty
			condition, and every YAML library reads it so without a word. Put the whole value in quotes:
			when: "!has(claims.x)".`,
		"not-utf-8": `A configuration is UTF-8, and the byte at this place is not part of a character. The file was saved in
			another encoding, such as Latin-1, and names in it would come out as other names. Save it as UTF-8.`,
		"control-character": `The character is one that editors do not show, so that the file says something else than what is
			read. YAML allows few of them. Remove it, or write it as an escape, such as "\u0000", in double quotes.`,
		"invalid-key": `A key is a word, and here a list or a mapping stands in its place: a bracket too many, or an expression in
			{ } without quotes.`,
		"merge-key": `Merge keys (<<) are not read. They hide from a reader of a rule what the rule says. Write the keys
			out, or use an alias for a whole value.`,
		"duplicate-key": `A key is written twice in one mapping. Which of the two would hold is a matter of the
			parser, so neither is taken. Remove one.`,
		"second-document": `A line of three dashes begins a second document. Only one would be read, and the rules in
			the other would be missing without a word. Put everything in one document.`,
		"too-large": `With its aliases expanded, the document has too many nodes or is nested too deep. Aliases of
			aliases can grow without end, so there is a limit. Write the repeated part out once.`,
		"unknown-key": `There is no such key here. A key that is not known is an error, because a misspelt one would
			otherwise switch off what it was meant to switch on. The hint names the nearest key, or all of them.`,
		"missing-key": `A key that must be there is not. Every key with its meaning stands in config.example.yaml.`,
		"missing-value": `A key has no value, or an empty one. In YAML that is easily written by accident, and an empty
			condition, audience or reason must never come to mean everything. Write the value, or take the key out.`,
		"wrong-type": `The value is of another kind than is wanted here: a list in place of a mapping, text in place of
			true or false. Text in quotes stays text: write true, not "true".`,
		"unknown-value": `Only a few words have a meaning here, and this is none of them. The hint names them.`,
		"unknown-version": `The version says how the file is to be read, and this program reads version 1. Write
			version: 1, or run a program that knows the other version.`,
		"needs-restart": `A running service takes over all of a changed configuration but this: its addresses, whether it
			speaks TLS, and its store are those that it began with. A configuration that changes one of them is not
			served, none of it, until the service is restarted with it: stop it, or roll its replicas, as with a new
			version.`,
		"not-available": `The key is valid and this version of the program does not act on it yet. Serving it would
			promise what is not done, so serve refuses such a configuration. Leave the key out, or at its default.`,
		"invalid-duration": `A duration is a number with a unit, in whole seconds: 30s, 15m, 12h, 1h30m. A number without
			a unit is refused, because nobody can tell whether seconds or milliseconds are meant.`,
		"invalid-date": `A rule's expires is a day such as 2027-01-31, from which on (UTC) the rule is dead; a test's at is
			a time such as 2026-01-31T12:00:00Z.`,
		"invalid-rate": `A rate is a count per second, minute or hour: 20/s, 60/m, 100/h; or off.`,
		"invalid-name": `Names of issuers and accounts are made of lower-case letters, digits and hyphens, those of
			parameters of lower-case letters, digits and underscores; a letter comes first. They appear in URLs, logs,
			metrics and conditions, and must be safe in all of them.`,
		"duplicate-name": `Two of a kind have one name. Rules name issuers and accounts, logs and tests name rules: a name
			must tell which. Rename one.`,
		"not-json": `Claims in tests are what a token holds, which is JSON, and this number cannot be written in JSON.
			Put it in quotes if text is meant.`,

		// What comes from outside the file, and what must not stand in it.
		"unset-variable": `{env: NAME} names a variable that is not set, or is empty. An empty secret must not pass for
			one. Set it, or, to check a pull request where there are no secrets, use --no-secrets.`,
		"unreadable-file": `A file that the configuration names cannot be read, or is empty. A relative path is relative
			to the configuration file, not to the directory in which the program was started.`,
		"unreplaced-variable": `Nothing in the file is replaced by a shell's variables: $NAME and ${NAME} are text as any other,
			and so is NAME. Write {env: NAME}, and the variable is read. In values of rules, ${ } holds an expression.`,
		"padded-secret": `A credential begins or ends with a blank, a line end or a quote, which no credential of Twilio's does.
			A shell takes quotes away; docker --env-file and systemd's files of variables may not. Nobody could sign in with
			it, and nothing would say why.`,
		"expression-from-outside": `A value that comes from a variable or a file holds a $. Expressions are part of the
			policy and are checked with it, so they stand in the configuration itself.`,
		"secret-in-config": `A secret is written into the configuration. The file is read in reviews, copied into tickets
			and kept in version control for ever. Write {env: NAME} or {file: PATH} in its place, and make a new secret:
			this one is known.`,
		"auth-token": `This is 32 lower-case hex digits, as an account's Auth Token is; an API key's secret has letters of
			both cases. The Auth Token rules the whole account, and access tokens signed with it are refused by Twilio.
			Make a Standard API key for this service and use its secret.`,
		"short-key": `identity_key has fewer than 32 bytes. Whoever can guess it can tell who is behind a pseudonym, and
			make pseudonyms. Make a random one: head -c 32 /dev/urandom | base64 > identity.key. Changing it later gives
			everybody a new identity.`,
		"short-token": `server.admin_token has fewer than 16 characters. Whoever guesses it reads what was decided for
			whom, from wherever the operators' listener can be reached. Make a random one:
			head -c 24 /dev/urandom | base64 > admin.token.`,
		"invalid-token": `server.admin_token travels in the header Authorization, and has characters, blanks among them,
			that no client can send there: nobody would ever get in. Make a random one:
			head -c 24 /dev/urandom | base64 > admin.token.`,
		"no-identity-key": `pseudonym() is used, and there is no identity_key to compute it with. Add
			identity_key: {file: identity.key}, a file of at least 32 random bytes that you keep: with another key everybody
			is somebody else to Twilio.`,
		"invalid-sid": `Twilio's identifiers are two letters that tell the kind and 32 hex digits: AC for an account, SK for
			an API key. A SID of another kind, or one with a character missing, was pasted here.`,

		// Where it listens, and who may ask.
		"invalid-address": `An address to listen on is host:port, such as 127.0.0.1:8080, or :8080 for every interface;
			a trusted proxy is an IP address or a range such as 10.0.0.0/8.`,
		"invalid-url": `The URL must be https, or http on this machine alone, and without the parts that have no place in
			it. An issuer is compared with iss byte for byte: copy it from the provider's
			/.well-known/openid-configuration, with or without the slash at its end as it stands there. How the issuers of the
			best-known providers are written is known, and what cannot be one is refused: no token would ever match it.`,
		"invalid-origin": `An origin is scheme://host, with a port where it is not the usual one, and nothing behind it:
			https://app.example.com. Browsers send it in exactly this form, and it is compared as it is. null is the origin
			of every sandboxed page, and allows all of them.`,
		"unknown-origin": `An issuer's allowed_origins narrow those of the server, and this one is not among them, so it
			would never be asked from. Add it to server.allowed_origins, or take it out here.`,
		"any-origin": `"*" lets every page on the web ask for tokens with whatever ID token it can get hold of. It is taken
			only together with insecure_any_origin: true, so that nobody writes it without knowing. List the origins of
			your apps.`,
		"invalid-certificate": `The file does not hold what it should: a certificate and its own key, or the certificate of
			an authority, in PEM.`,
		"insecure": `Something is switched on, or switched off, that makes the service less safe, by a key whose name says
			so. It is repeated here each time so that it is not forgotten. Whoever reviews the file should know the reason.`,

		// Issuers.
		"duplicate-issuer": `Two issuers have the same URL, and the token alone could not tell which rules hold for it. List
			all audiences under one issuer, and tell people apart by client or by a claim.`,
		"no-provider": `The issuer is one of a provider for which there is a preset, and it is not used. The preset tells its ID
			tokens from its other tokens, such as access tokens or those of anonymous visitors, by the claims that each has. Add
			provider: with its name.`,
		"unknown-provider": `There is no preset of this name. A preset only sets what is known of a provider: leave it out
			for one that is not in the list.`,
		"missing-tenants": `The issuer's URL has {tenantid} in it, which stands for one tenant after the other, and none is
			listed. Without a list every tenant of the provider would be let in. Add tenants: [GUID, …].`,
		"useless-tenants": `tenants are what {tenantid} in the issuer's URL stands for, and there is no {tenantid} in it. Put it
			in the tenant's place, or take tenants out.`,
		"invalid-tenant": `A tenant is named by its GUID in lower case, as in its tokens' tid and iss, and not by its domain.`,
		"shared-issuer": `common, organizations and consumers are not issuers of tokens: each token names its own tenant.
			Write {tenantid} in its place, and list the tenants whose people you mean.`,
		"unsafe-algorithm": `HS256 and the like sign with a secret that whoever checks the signature has, too, and none signs
			nothing: with either, tokens can be made by others than the provider. Ask the provider for RS256 or ES256.`,
		"unknown-algorithm": `There is no such algorithm here. Most providers use RS256, which is the default; the provider's
			/.well-known/openid-configuration lists its own under id_token_signing_alg_values_supported.`,
		"skew-too-long": `clock_skew makes up for clocks that differ, and for as long a token is taken after its end. More than
			5m says that a clock is wrong: set it right.`,
		"two-key-sets": `Keys come from jwks_uri or from jwks_file. With both, nobody could tell which of them holds when they
			differ. Remove one, or both, to find the keys by discovery.`,
		"unknown-type":   `A claim's type is string, int, double or bool, or a list of one of them: list(string).`,
		"unknown-issuer": `No issuer has this name. A rule or a test names an issuer by its name, not by its URL.`,
		"public-issuer": `Anybody can make an account at this provider, and the rule grants to whoever has one. That a token is
			genuine says who somebody is, and not that they are yours. Ask for what tells your people from others: a domain
			that the provider vouches for (hd at Google), a group, a verified address of your own domain, or people one by
			one, by sub. Claims that say the same of everybody, such as email_verified, and those that people write themselves
			do not count. If everybody who can sign in is meant, as in an app for consumers, say so: claims.sub != ''.`,
		"workload-issuer": `This issuer gives tokens to machines, such as the jobs of a CI service or the pods of a cluster, and
			each names the audience itself: somebody else's job can ask for a token with yours. The audience, which
			protects elsewhere, protects from nothing here. Use the provider's preset where there is one, or ask in the rule,
			or under require, for what nobody else can have: the repository's or its owner's id, a service account's sub, azp.`,
		"memory-store": `Uses of a token and logouts are kept in this process's memory. A second replica does not know of them,
			and neither does this one after a restart: a token that may be used once can be used once with each, and who has
			logged out is let in again. Name a store that all replicas share.`,

		// Rules.
		"useless-rule": `The rule sets nothing, so it does not matter whether it matches. It lacks grants, ttl, identity, account
			or deny, or is indented wrongly.`,
		"deny-and-grant": `A rule that denies refuses the exchange, so nothing else that it sets could come about. Make two
			rules of it.`,
		"any-in-list":     `any stands for every issuer, and so does not go with others in a list. Write issuer: any.`,
		"unknown-account": `No account has this name. Accounts are named under accounts, and the first is the default.`,
		"ttl-too-long": `Twilio takes no token that lives for a day or longer, and tokens.max_ttl may say less. Write a
			shorter ttl, or raise max_ttl to at most 23h59m59s.`,
		"no-issuer": `There are several issuers, and the rule does not say whose people it is for, which means all of them. A
			claim such as groups or email says something else at each, and whoever adds an issuer later adds its people to
			this rule. Write issuer: with the name of one or a list of them, or issuer: any, which means the same as now and
			says that it is meant.`,
		"unreachable-rule": `Nobody can get anything by this rule: its condition cannot be true, or whenever it is, other rules
			have won all that it sets, or refuse. Rules are read from top to bottom and the first that sets an output wins
			it, so a rule for some people belongs above the one for everybody. ttl of a rule that wins nothing does not count.`,
		"expiring-deny": `The rule refuses, and from the day under expires on it does so no longer: whoever was kept out is let
			in, without anybody's doing. Leave expires out, and remove the rule when it is over.`,
		"short-ttl": `The token ends too early for what it is for. Video takes no new token during a call: when the connection
			is lost after the token's end the person is out, so it should live as long as a room, which is 4h unless set
			otherwise. Conversations and Sync tell the app to renew three minutes before the end, and under four minutes that
			is at once, again and again. Write ttl in the rule. The ttl counted here is the shortest of the rules that always
			match together with this one, else tokens.ttl.`,

		// Grants.
		"empty-grant": `The grant allows nothing: voice without an application cannot call, and without incoming_allow it cannot
			be called. Add one of them, or take the grant out.`,
		"any-room": `any_room makes a token that opens every room of the account, also those of other people, whoever gets it.
			Name a room, which may be computed: room: "visit-${escape(claims.visit)}". A room that is a parameter whose pattern
			takes any text is the same: the client names the room.`,
		"room-and-any-room": `room opens one room and any_room opens all. Keep the one that is meant.`,
		"video-region": `Video exists in the region us1 alone: a token signed by another region's key opens no room. Give the rule
			an account in us1, or take video out.`,
		"params-without-application": `outgoing_params are handed to the TwiML application when the person calls, and there is no
			application. Add outgoing_application_sid.`,
		"invalid-value": `The value is not what Twilio takes in this place: a SID of another kind, or a name with characters or of
			a length that it refuses.`,
		"empty-value": `The value is empty, and an empty value would not mean nothing to Twilio: a grant without a room opens all
			of them. Write the value, or take the key out.`,

		// Parameters.
		"reserved-name": `OAuth gives this parameter a meaning of its own, so clients cannot use it to ask for something of yours.
			Choose another name.`,
		"pattern-or-enum": `A parameter has either a pattern, which its whole value must match, or an enum of the values that
			there are. Without one, clients could send anything; with both, nobody could tell which holds.`,
		"invalid-pattern": `The pattern is no regular expression of Go's syntax (RE2), which has neither look-around nor back
			references.`,
		"invalid-default": `The default is not a value that the parameter itself allows, so a client that sends nothing would get
			what it could not ask for. Change one of them.`,
		"unknown-parameter": `Rules read only the parameters that are declared under parameters, with a pattern or a list of what
			they may be: whatever else a client sends is dropped. Declare it, or correct its name.`,
		"parameter-alone": `A parameter is what the client asks for, and here it is all that decides: everybody who is signed in can
			name any room, or any other resource, and gets it, other people's included. Put something in that tells whose it
			is, so that people only reach their own, or ask in the condition for a claim that says who may. A parameter with an
			enum is not meant: you wrote the list. In outgoing_params a parameter only informs your application, which must not
			take it for more.`,

		// Expressions.
		"syntax": `The expression is not CEL. The usual causes: = in place of ==, and, or, not in place of &&, ||, !, a word like
			contains between two values in place of a method behind a dot (to search a list, 'x' in claims.list), curly quotes
			from a document, and a quote that is not closed.`,
		"template-syntax": `In a value, ${ } holds an expression, and $$ is a dollar sign. A $ that is neither, or a ${ that is
			not closed, is refused, because half an expression would become part of a name. So is {{ }}, with which other
			programs write expressions.`,
		"plain-expression": `The value is an expression, and stands outside ${ }: it is taken for plain text, and is the same for
			everybody. Conditions are expressions; values are text with expressions in ${ }.`,
		"empty-condition": `The condition is empty, and an empty condition must never come to mean everybody. Write when: "true" if
			everybody is meant.`,
		"not-a-condition": `A condition comes to true or false, and this comes to something else. claims.groups is a list: write
			'x' in claims.groups. That a claim is there is has(claims.x).`,
		"type": `CEL's checker refuses the expression: a pattern, a time or a duration that cannot be read, or loops nested too
			deep.`,
		"type-mismatch": `Two values are put together that do not go together, such as a bool compared with text, or a value that is
			no text is written into text. Such a comparison would never be true. Standard claims have their types, others can be
			given one under claims; "true" in quotes is text.`,
		"unknown-name": `There is no such variable or function. Conditions read claims, request, issuer, client and now, and methods
			are spelled with their capitals: endsWith, startsWith.`,
		"whole-object": `claims and request are read by their members: claims.x, claims['x'], 'x' in claims. They cannot be
			compared, searched or passed on as a whole, and CEL would decide as if they could.`,
		"cel": `CEL could not plan an expression that it had checked. Please report it, with the expression.`,

		// What expressions say, and do not.
		"email-unverified": `email is read, and nothing makes sure that it is verified. At many providers people can enter any
			address, and it stands in their token at once; email_verified says whether they have shown that it is theirs. Who
			enters ceo@example.com is then somebody of example.com. Demand it in the same condition,
			claims.email.endsWith('@example.com') && claims.email_verified, or of everybody under require. An alternative, as in
			claims.email_verified || …, is no demand. Identities are better made of sub, which never changes.`,
		"loose-match": `The test passes for more than it seems. 'eve@evil-example.com' ends with 'example.com', and anybody can
			register that domain; a part at the beginning or in the middle of an address says nothing of its owner. Test with the
			@, claims.email.endsWith('@example.com'), with a dot for subdomains, '.example.com', or compare the whole with ==.`,
		"unanchored-regex": `A pattern matches wherever it is found: matches('admin') is true of not-an-admin-at-all, and in '^a|b$'
			each anchor holds for one alternative alone. Write ^ and $ around the whole, with brackets where there is a |:
			'^(?:a|b)$'. Where anything may stand before or behind, say so by .* and nothing is warned of. Patterns that only keep
			people out are left alone.`,
		"computed-regex": `The pattern comes from a claim or from the client, and whoever writes it can write .*, which matches
			everything. Compare as text, or write the patterns into the rule.`,
		"editable-claim": `The claim is what people say of themselves: at most providers they edit their name, nickname or
			user_metadata in their profile, and at Entra and Supabase nothing in the token vouches for email. Whoever knows the rule
			can meet it. Decide by what the provider's administrators set: groups, roles, app_metadata; or by sub. That such a claim
			is there at all may be asked, and outgoing_params may pass it on. At Entra, email counts together with xms_edov.`,
		"misspelt-claim": `No claim of this name is standard or declared, and one that is almost the same is. What is misspelt is
			absent from every token: a rule that grants never does, and one that denies refuses everybody. Correct it, or, if the
			provider does have such a claim, declare its type under the issuer's claims.`,
		"unused-claim": `The issuer declares a claim's type, and no rule, requirement or value reads the claim for this issuer.
			Perhaps its name is misspelt here or there, or the rule that read it is gone.`,
		"undecided-deny": `Without the claim, or the parameter, this condition is neither true nor false, and a deny rule that is
			undecided refuses: it might have been meant for that person. So everybody whose token lacks it is refused. If its
			absence means nothing bad, say so: 'suspended' in claims.?groups.orValue([]), or has(claims.status) && ….`,
		"not-equal-alone": `That a claim is not equal to a text is all that the rule asks for, so every other value lets people in: those
			of next year, misspelt ones, ones that people choose. Who is to be let in is better listed than who is not:
			claims.role in ['agent', 'lead'].`,

		// Identities.
		"no-identity": `A rule grants, neither it nor the issuer says who the person is to Twilio, and no rule for everybody does.
			Add identity to the issuer.`,
		"identity-not-unique": `It cannot be shown that two different people never get the same Twilio identity, and whoever shares
			an identity reads the other's messages and takes the other's calls. Build it from what identifies a person, which is sub
			with most providers, and put it in by escape(), which loses nothing. Names, addresses and parts of anything are not
			unique. Several values side by side need something between them that neither can hold: __ behind escape(). If you know
			that it is unique, say why under insecure_identity.`,
		"identity-overlap": `Two people, by two rules or of two issuers, can get the same Twilio identity. sub is unique within its issuer
			alone. Begin each with words of its own, ended by two underscores, which escape() never writes:
			"auth0__${escape(claims.sub)}".`,
		"ambiguous-join": `Values are put side by side so that different ones come to the same text: tenant a-b with room c, and tenant a
			with room b-c, are both a-b-c. People of one tenant then reach the other's room. Put each in by escape(), and __ between
			them, which escape() never writes.`,
		"voice-identity": `Voice takes identities of A-Z, a-z, 0-9 and _ alone, and somebody whom a rule grants voice can get one with
			other characters, with which no call would come through. Put claims in by escape().`,

		// Tests.
		"test-failed": `A test of the configuration comes out otherwise than it says, so the configuration does not load: either the
			rules do not do what was meant, or the test no longer says what is meant. twilio-sts explain shows every step.`,
		"refused-and-granted": `The test expects a refusal and something else at once. Who is refused gets nothing.`,
	}
}
