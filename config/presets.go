package config

import (
	"net/url"
	"regexp"
	"strings"

	"twilio-sts/config/rules"
)

// A preset is what is known of a provider: it only sets defaults and adds
// claim rules, and everything it sets can be said of an issuer without it.
type preset struct {
	name        string
	aliases     []string // further values of iss
	algorithms  []string // default RS256
	required    []rules.ClaimRule
	forbidden   []rules.ClaimRule
	standIns    []rules.StandIn
	accessToken bool // there is no ID token: its access token is taken
	// tenantClaim names the tenant that iss names, too.
	tenantClaim string
	types       []rules.ClaimSpec // of claims that its tokens always have
}

// sharedIssuer reports whether the URL is one that stands for every tenant.
func (p preset) sharedIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || p.name != "entra" && u.Host != "login.microsoftonline.com" {
		return false
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return tenant == "common" || tenant == "organizations" || tenant == "consumers"
}

// An issuerForm is how the issuers of a provider are written.
type issuerForm struct {
	provider string
	host     *regexp.Regexp // of issuers that are this provider's
	path     *regexp.Regexp // what stands behind the host; nil: no issuer is there
	written  string
	// anywhere says that the path is the same under domains of people's own, and
	// alone that there is no other host. Otherwise what stands elsewhere is not
	// known.
	anywhere, alone bool
}

// The issuers that can be known by their host, and what is sure of them. The
// sources are those of the presets.
var issuerForms = []issuerForm{
	{provider: "google", host: regexp.MustCompile(`^accounts\.google\.com$`), path: noPath, written: "https://accounts.google.com", alone: true},
	{provider: "auth0", host: regexp.MustCompile(`\.auth0\.com$`), path: regexp.MustCompile(`^/$`), written: "https://TENANT.REGION.auth0.com/", anywhere: true},
	{provider: "okta", host: regexp.MustCompile(`\.okta\.com$`), path: regexp.MustCompile(`^(/oauth2/\w+)?$`), written: "https://ORG.okta.com, or https://ORG.okta.com/oauth2/ID", anywhere: true},
	{provider: "entra", host: regexp.MustCompile(`^login\.microsoftonline\.com$`), path: regexp.MustCompile(`^/` + tenantPath + `/v2\.0$`), written: "https://login.microsoftonline.com/TENANT/v2.0, with the tenant's GUID"},
	{provider: "entra", host: regexp.MustCompile(`^sts\.windows\.net$`), path: regexp.MustCompile(`^/` + tenantPath + `/$`), written: "https://sts.windows.net/TENANT/, with the tenant's GUID"},
	{provider: "apple", host: regexp.MustCompile(`^appleid\.apple\.com$`), path: noPath, written: "https://appleid.apple.com", alone: true},
	{provider: "cognito", host: regexp.MustCompile(`^cognito-idp\.[a-z0-9-]+\.amazonaws\.com$`), path: regexp.MustCompile(`^/[\w-]+$`), written: "https://cognito-idp.REGION.amazonaws.com/POOL"},
	{provider: "cognito", host: regexp.MustCompile(`\.amazoncognito\.com$`), written: "https://cognito-idp.REGION.amazonaws.com/POOL"},
	{provider: "firebase", host: regexp.MustCompile(`^securetoken\.google\.com$`), path: regexp.MustCompile(`^/[^/]+$`), written: "https://securetoken.google.com/PROJECT"},
	{provider: "gitlab", host: regexp.MustCompile(`^gitlab\.com$`), path: noPath, written: "https://gitlab.com"},
	{provider: "supabase", host: regexp.MustCompile(`\.supabase\.co$`), path: regexp.MustCompile(`^/auth/v1$`), written: "https://REF.supabase.co/auth/v1"},
	{provider: "clerk", host: regexp.MustCompile(`\.clerk\.accounts\.dev$`), path: noPath, written: "https://NAME.clerk.accounts.dev"},
}

var noPath = regexp.MustCompile(`^$`)

const tenantPath = `([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\{tenantid\})`

// formOf returns how the issuer at u is written, by its host or its provider; nil
// where that is not known.
func formOf(u *url.URL, provider string) *issuerForm {
	for i := range issuerForms {
		if f := &issuerForms[i]; f.host.MatchString(u.Host) {
			return f
		}
	}
	for i := range issuerForms {
		if f := &issuerForms[i]; f.provider == provider && (f.anywhere || f.alone) {
			return f
		}
	}
	return nil
}

// fits reports whether an issuer is written in this form.
func (f *issuerForm) fits(u *url.URL) bool {
	return f.path != nil && f.path.MatchString(u.Path) && (!f.alone || f.host.MatchString(u.Host))
}

// persons returns sets of claims of which each tells one person of an issuer
// from another.
func (p preset) persons(is *Issuer) [][]string {
	switch {
	case len(is.Tenants) > 1 && p.name == "entra":
		return [][]string{{"tid", "oid"}, {"iss", "sub"}}
	case len(is.Tenants) > 1:
		return [][]string{{"iss", "sub"}}
	case p.name == "entra":
		return [][]string{{"oid"}, {"sub"}}
	}
	return [][]string{{"sub"}}
}

func has(path ...string) rules.ClaimRule { return rules.ClaimRule{Path: path} }

func is(value string, path ...string) rules.ClaimRule {
	return rules.ClaimRule{Path: path, Values: []string{value}}
}

// anotherKind is a rule that tells another kind of token from an ID token.
func anotherKind(r rules.ClaimRule) rules.ClaimRule {
	r.Unsupported = true
	return r
}

// presets are the providers, each with what is particular about it. What was
// not read in the provider's documentation or source is said to be from memory.
func presets() []preset {
	return []preset{
		// Google: the issuer is https://accounts.google.com, and tokens may
		// leave https:// out of iss. The audience is the web client's id; on
		// Android and iOS azp is the app's own, so list that under allowed_azp.
		// Service accounts can have a token made for any audience, with a
		// verified e-mail address: its azp is the account's id or address, never
		// a client's, so a token without azp is refused and allowed_azp is the
		// audiences unless it is set. hd is the Workspace domain and, like
		// email, passes to whoever buys the domain: identify people by sub.
		// https://developers.google.com/identity/openid-connect/openid-connect
		{name: "google", aliases: []string{"accounts.google.com"}, required: []rules.ClaimRule{anotherKind(has("azp"))}},

		// Auth0: the issuer ends in a slash, and a tenant and its custom domain
		// are two issuers. The audience is the application's client id; access
		// tokens name an API there instead. Custom claims often have URLs for
		// names: claims['https://example.com/team'].
		// https://auth0.com/docs/secure/tokens/id-tokens/id-token-structure
		{name: "auth0"},

		// Okta: the issuer is the organisation's URL, or ends in /oauth2/ and
		// the id of an authorization server; a custom domain is another issuer.
		// groups is there once a claim is configured. Access tokens have scp,
		// which keeps them out even where their audience is listed.
		// https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/
		{name: "okta", forbidden: []rules.ClaimRule{anotherKind(has("scp"))}},

		// Entra: the issuer is https://login.microsoftonline.com/TENANT/v2.0, or
		// https://sts.windows.net/TENANT/ for tokens of version 1.0. For several
		// tenants write {tenantid} in its place and list those under tenants.
		// email is unverified and its owner can change it: identify people by
		// tid with oid, which are demanded here and need the scope profile. Who
		// is in more than 200 groups has _claim_names in place of groups, and in
		// the implicit flow who is in more than a few has hasgroups. Access
		// tokens for the same app have scp where a person is behind them, and
		// appid or azpacr in any case. Keys name the issuer they are for, and are
		// used for no other.
		// https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
		{name: "entra", required: []rules.ClaimRule{has("tid"), has("oid")}, forbidden: []rules.ClaimRule{
			anotherKind(has("scp")), anotherKind(has("appid")), anotherKind(has("azpacr")),
		}, standIns: []rules.StandIn{{Claim: "hasgroups", For: "groups"}}, tenantClaim: "tid", types: []rules.ClaimSpec{{Name: "tid", Type: "string"}, {Name: "oid", Type: "string"}}},

		// Apple: the audience is the services id on the web and the bundle id in
		// apps: list both. email_verified is a bool or text, and both are read.
		// sub is the same in all apps of a team, and changes when an app moves
		// to another. An address under privaterelay.appleid.com is a relay.
		// https://developer.apple.com/documentation/signinwithapple/authenticating-users-with-sign-in-with-apple
		{name: "apple"},

		// Cognito: the issuer is the user pool's URL, the audience the app
		// client. ID and access tokens come from the same pool; token_use tells
		// them apart. Groups are in claims['cognito:groups']. People may be able
		// to change their email at once, which makes it unverified.
		// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
		{name: "cognito", required: []rules.ClaimRule{anotherKind(is("id", "token_use"))}},

		// Firebase: the issuer is https://securetoken.google.com/PROJECT, the
		// audience the project's id. Custom claims stand beside the standard
		// ones. Anonymous visitors have valid tokens too, and are refused. A
		// session cookie has another issuer (from memory).
		// https://firebase.google.com/docs/auth/admin/verify-id-tokens
		{name: "firebase", forbidden: []rules.ClaimRule{is("anonymous", "firebase", "sign_in_provider")}},

		// Keycloak: the issuer is HOST/realms/REALM, and /auth/realms/REALM in
		// old ones. The claim typ says what a token is: ID, or Bearer, Refresh,
		// Offline, Logout. Roles and groups are in ID tokens once their mapper
		// says so (from memory). The key set holds a key for encryption, too.
		// https://github.com/keycloak/keycloak, org.keycloak.util.TokenUtil
		{name: "keycloak", required: []rules.ClaimRule{anotherKind(is("ID", "typ"))}},

		// GitLab: the audience is the application's id. CI jobs get tokens from
		// the same issuer for an audience that any pipeline chooses; the claims
		// about the job tell them apart. (That both are signed by keys of the
		// same set is inferred, not documented.)
		// https://docs.gitlab.com/ci/secrets/id_token_authentication/
		{name: "gitlab", forbidden: []rules.ClaimRule{
			anotherKind(has("project_path")), anotherKind(has("job_id")), anotherKind(has("pipeline_id")), anotherKind(has("ref")),
		}},

		// Dex: the issuer is as its configuration has it. A token for several
		// clients names all in aud and the one X
		// https://dexidp.io/docs/configuration/custom-scopes-claims-clients/
		{name: "dex"},

		// Zitadel: aud names the project beside its clients, and azp the client
		// that asked. Roles are the members of an object:
		// 'admin' in claims['urn:zitadel:iam:org:project:roles']. Access tokens
		// in JWT format have the same aud and azp; they alone have jti.
		// https://zitadel.com/docs/apis/openidoauth/claims
		{name: "zitadel", forbidden: []rules.ClaimRule{anotherKind(has("jti"))}},

		// Supabase: the issuer is https://REF.supabase.co/auth/v1. There is no ID
		// token: the access token is taken in its place. Its audience is
		// authenticated in every project, so the issuer alone tells projects
		// apart. Anonymous users and the project's own API keys are refused.
		// Users edit user_metadata themselves: decide by app_metadata alone.
		// Projects that still sign with the shared secret must move to signing
		// keys first.
		// https://supabase.com/docs/guides/auth/jwt-fields
		{name: "supabase", algorithms: []string{"ES256", "RS256"}, accessToken: true,
			required:  []rules.ClaimRule{is("authenticated", "role")},
			forbidden: []rules.ClaimRule{is("true", "is_anonymous")}},

		// Clerk: the issuer is the Frontend API URL. The session token has no
		// audience and is refused for that: make a JWT template with aud, and
		// have the app ask for a token by its name. azp is the origin of the
		// page that asked; list the app's origins under allowed_azp.
		// https://clerk.com/docs/backend-requests/resources/session-tokens
		{name: "clerk"},
	}
}
