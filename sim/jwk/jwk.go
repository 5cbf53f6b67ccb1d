// Package jwk is the trust between a DPM and its engines: EC P-256 key pairs, their written form and fingerprint, and the
// tokens that they sign.
//
// The product's form (product-facts, "Trust"): curve P-256, algorithm ES256, key id = SHA-256 fingerprint, the pair as
// base64 of a JWK in the property ataccama.authentication.internal.jwt.generator.key. Keys come from crypto/rand.
package jwk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dpesim/dpesim/sim"
)

// size is the length of a P-256 coordinate and scalar in bytes (RFC 7518, section 6.2).
const size = 32

// maxText bounds what Parse and ParsePublic read, in bytes. A written pair has about 450.
const maxText = 4096

// key is a JWK as RFC 7517 and RFC 7518 section 6.2 have it. D is there in a pair only.
type key struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	D   string `json:"d,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	Kid string `json:"kid,omitempty"`
}

// Generate makes a new key pair.
func Generate() (*ecdsa.PrivateKey, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a P-256 key: %w", err)
	}
	return k, nil
}

// Fingerprint gives the RFC 7638 SHA-256 thumbprint of a public key, base64url without padding. It is empty for nil and
// for what is no point of P-256.
func Fingerprint(pub *ecdsa.PublicKey) sim.KeyID {
	x, y, ok := coordinates(pub)
	if !ok {
		return ""
	}
	// RFC 7638, section 3: the required members in lexicographic order, without white space.
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	return sim.KeyID(base64.RawURLEncoding.EncodeToString(sum[:]))
}

// coordinates gives the base64url coordinates of a point of P-256.
func coordinates(pub *ecdsa.PublicKey) (x, y string, ok bool) {
	if pub == nil || pub.Curve != elliptic.P256() {
		return "", "", false
	}
	b, err := pub.Bytes() // SEC 1, uncompressed: 4, x, y
	if err != nil || len(b) != 1+2*size {
		return "", "", false
	}
	return base64.RawURLEncoding.EncodeToString(b[1 : 1+size]), base64.RawURLEncoding.EncodeToString(b[1+size:]), true
}

// Marshal writes a key pair as the product's property has it: base64 of a JWK with the private part. It returns Invalid
// for a key that is not of P-256.
func Marshal(pair *ecdsa.PrivateKey) (sim.Secret, error) {
	if pair == nil {
		return "", notP256()
	}
	k, err := public(&pair.PublicKey)
	if err != nil {
		return "", err
	}
	d, err := pair.Bytes()
	if err != nil {
		return "", fmt.Errorf("encode the private key: %w", err)
	}
	k.D = base64.RawURLEncoding.EncodeToString(d)
	text, err := json.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("encode the key pair: %w", err)
	}
	return sim.Secret(base64.StdEncoding.EncodeToString(text)), nil
}

// MarshalPublic writes a public key as a JWK, JSON. It returns Invalid for a key that is not of P-256.
func MarshalPublic(pub *ecdsa.PublicKey) ([]byte, error) {
	k, err := public(pub)
	if err != nil {
		return nil, err
	}
	return json.Marshal(k)
}

func public(pub *ecdsa.PublicKey) (key, error) {
	x, y, ok := coordinates(pub)
	if !ok {
		return key{}, notP256()
	}
	return key{Kty: "EC", Crv: "P-256", X: x, Y: y, Use: "sig", Alg: "ES256", Kid: string(Fingerprint(pub))}, nil
}

func notP256() error {
	return sim.Errorf(sim.Invalid, "the key is not an EC key of curve P-256").WithHelp("use a key pair that the portal generated")
}

// Parse reads what [Marshal] wrote. It returns Invalid, never the text, if it is no base64 JWK pair of P-256 or if its
// private and public parts do not belong together.
func Parse(pair sim.Secret) (*ecdsa.PrivateKey, error) {
	text := strings.TrimSpace(pair.Reveal())
	if len(text) > maxText {
		return nil, broken("it is longer than %d bytes", maxText)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, broken("it is not base64")
	}
	k, pub, err := read(raw)
	if err != nil {
		return nil, err
	}
	if k.D == "" {
		return nil, broken("it has no private part (member d)")
	}
	d, err := base64.RawURLEncoding.DecodeString(k.D)
	if err != nil || len(d) != size {
		return nil, broken("member d is not %d bytes in base64url", size)
	}
	priv, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return nil, broken("member d is no private key of P-256")
	}
	if !priv.PublicKey.Equal(pub) {
		return nil, broken("its private and public parts do not belong together")
	}
	return priv, nil
}

// ParsePublic reads what [MarshalPublic] wrote. It returns Invalid if it is no JWK of a P-256 public key, or if it holds
// a private part, which nobody should have sent.
func ParsePublic(text []byte) (*ecdsa.PublicKey, error) {
	k, pub, err := read(text)
	if err != nil {
		return nil, err
	}
	if k.D != "" {
		return nil, broken("it holds a private part (member d) where a public key is wanted")
	}
	return pub, nil
}

func read(text []byte) (key, *ecdsa.PublicKey, error) {
	var k key
	if len(text) > maxText {
		return k, nil, broken("it is longer than %d bytes", maxText)
	}
	if err := json.Unmarshal(text, &k); err != nil {
		return k, nil, broken("it is not JSON with text members")
	}
	if k.Kty != "EC" || k.Crv != "P-256" || k.Alg != "" && k.Alg != "ES256" {
		return k, nil, broken("it is not an EC key of curve P-256 for ES256")
	}
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return k, nil, broken("members x and y are not %d bytes each in base64url", size)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return k, nil, broken("x and y are no point of P-256")
	}
	if k.Kid != "" && k.Kid != string(Fingerprint(pub)) {
		return k, nil, broken("its key id is not the fingerprint of its public part")
	}
	return k, pub, nil
}

func broken(format string, args ...any) error {
	return sim.Errorf(sim.Invalid, "the JWK cannot be read: %s", fmt.Sprintf(format, args...)).
		WithHelp("use the key of the values.yaml that the portal generated, unchanged")
}

// Sign makes the token with which an engine shows who it is: ES256, header kid = [Fingerprint], claims iss and sub =
// label, aud = audience (the DPM's host name), iat = now, exp = now + ttl. The token is a credential until it expires:
// it must not be logged.
func Sign(pair *ecdsa.PrivateKey, label sim.Label, audience string, now time.Time, ttl time.Duration) (string, error) {
	if pair == nil || Fingerprint(&pair.PublicKey) == "" {
		return "", notP256()
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
		Issuer:    string(label),
		Subject:   string(label),
		Audience:  jwt.ClaimStrings{audience},
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	})
	t.Header["kid"] = string(Fingerprint(&pair.PublicKey))
	s, err := t.SignedString(pair)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return s, nil
}
