package jwk_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/jwk"
)

// The key of RFC 7517, appendix A.2 (EC), and its RFC 7638 thumbprint as computed by another implementation
// (sha256sum over the canonical text).
const (
	rfcX           = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
	rfcY           = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
	rfcD           = "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"
	rfcFingerprint = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
)

func TestFingerprintIsTheThumbprintOfRFC7638(t *testing.T) {
	t.Parallel()
	pub, err := jwk.ParsePublic(fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","x":%q,"y":%q}`, rfcX, rfcY))
	if err != nil {
		t.Fatal(err)
	}
	if got := jwk.Fingerprint(pub); got != rfcFingerprint {
		t.Errorf("fingerprint %q, want %q", got, rfcFingerprint)
	}
	if got := jwk.Fingerprint(nil); got != "" {
		t.Errorf("fingerprint of nil is %q, want none", got)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got := jwk.Fingerprint(&other.PublicKey); got != "" {
		t.Errorf("fingerprint of a P-384 key is %q, want none", got)
	}
	if _, err := jwk.Marshal(other); sim.KindOf(err) != sim.Invalid {
		t.Errorf("Marshal of a P-384 key: %v, want Invalid", err)
	}
}

func TestWrittenPairsAndPublicKeysReadBack(t *testing.T) {
	t.Parallel()
	pair := generate(t)
	text, err := jwk.Marshal(pair)
	if err != nil {
		t.Fatal(err)
	}
	back, err := jwk.Parse(text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if !back.Equal(pair) {
		t.Error("the pair that was read is another one")
	}
	public, err := jwk.MarshalPublic(&pair.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(public), `"d"`) {
		t.Error("the public JWK holds a private part")
	}
	pub, err := jwk.ParsePublic(public)
	if err != nil {
		t.Fatal(err)
	}
	if !pub.Equal(&pair.PublicKey) {
		t.Error("the public key that was read is another one")
	}
}

func TestBrokenPairsAreRefusedWithAReasonAndWithoutTheKey(t *testing.T) {
	t.Parallel()
	members := func(change map[string]string) sim.Secret {
		m := map[string]string{"kty": "EC", "crv": "P-256", "x": rfcX, "y": rfcY, "d": rfcD}
		maps.Copy(m, change)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return sim.Secret(base64.StdEncoding.EncodeToString(b))
	}
	if _, err := jwk.Parse(members(nil)); err != nil {
		t.Fatalf("the unchanged pair: %v", err)
	}
	for name, c := range map[string]struct {
		text sim.Secret
		want string
	}{
		"not base64":       {"%%%", "not base64"},
		"not JSON":         {sim.Secret(base64.StdEncoding.EncodeToString([]byte("key"))), "not JSON"},
		"too long":         {sim.Secret(strings.Repeat("A", 5000)), "longer than"},
		"other type":       {members(map[string]string{"kty": "RSA"}), "not an EC key"},
		"other curve":      {members(map[string]string{"crv": "P-384"}), "not an EC key"},
		"other algorithm":  {members(map[string]string{"alg": "none"}), "not an EC key"},
		"short x":          {members(map[string]string{"x": "AAAA"}), "32 bytes"},
		"not on the curve": {members(map[string]string{"y": rfcX}), "no point"},
		"no private part":  {members(map[string]string{"d": ""}), "no private part"},
		"another's d":      {members(map[string]string{"d": rfcX}), "do not belong together"},
		"zero d":           {members(map[string]string{"d": strings.Repeat("A", 43)}), "no private key"},
		"another's kid":    {members(map[string]string{"kid": "mallory"}), "key id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := jwk.Parse(c.text)
			if sim.KindOf(err) != sim.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want Invalid with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), rfcD) {
				t.Error("the error shows the private key")
			}
		})
	}
	if _, err := jwk.ParsePublic(fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","x":%q,"y":%q,"d":%q}`, rfcX, rfcY, rfcD)); sim.KindOf(err) != sim.Invalid {
		t.Errorf("ParsePublic of a pair: %v, want Invalid", err)
	}
}

func TestSignedTokensCarryTheClaimsThatADPMAsksFor(t *testing.T) {
	t.Parallel()
	pair := generate(t)
	now := time.Date(2031, 5, 4, 3, 2, 1, 0, time.UTC)
	text, err := jwk.Sign(pair, "finance", "dpm-grpc-acme.example", now, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.RegisteredClaims
	tok, err := jwt.ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return &pair.PublicKey, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	if tok.Header["kid"] != string(jwk.Fingerprint(&pair.PublicKey)) {
		t.Errorf("kid %v, want the fingerprint", tok.Header["kid"])
	}
	if claims.Issuer != "finance" || claims.Subject != "finance" || claims.Audience[0] != "dpm-grpc-acme.example" ||
		!claims.IssuedAt.Equal(now) || !claims.ExpiresAt.Equal(now.Add(5*time.Minute)) {
		t.Errorf("claims are %+v", claims)
	}
	if _, err := jwk.Sign(nil, "finance", "h", now, time.Minute); sim.KindOf(err) != sim.Invalid {
		t.Errorf("Sign without a key: %v, want Invalid", err)
	}
}

// FuzzParse: whatever is accepted is a pair that writes and reads back as itself, and nothing panics.
func FuzzParse(f *testing.F) {
	f.Add(fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q,"d":%q}`, rfcX, rfcY, rfcD))
	f.Add(`{"kty":"EC","crv":"P-256","x":"","y":""}`)
	f.Add(`{"kty":1}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = jwk.ParsePublic([]byte(text))
		pair, err := jwk.Parse(sim.Secret(base64.StdEncoding.EncodeToString([]byte(text))))
		if err != nil {
			if sim.KindOf(err) != sim.Invalid {
				t.Fatalf("kind %v of %v, want Invalid", sim.KindOf(err), err)
			}
			return
		}
		again, err := jwk.Marshal(pair)
		if err != nil {
			t.Fatal(err)
		}
		back, err := jwk.Parse(again)
		if err != nil || !back.Equal(pair) {
			t.Fatalf("read back %v, %v", back, err)
		}
	})
}

func generate(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := jwk.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
