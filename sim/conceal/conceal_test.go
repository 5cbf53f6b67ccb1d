package conceal_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/conceal"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// However a secret is written, and whatever stands around it, it is not in the text, and all that stands around it is.
func TestASecretIsConcealedHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(secret, around string) string{
		"as it is":                     func(s, _ string) string { return s },
		"in base64":                    func(s, a string) string { return b64(a + s + a) },
		"in base64 of URLs":            func(s, a string) string { return base64.RawURLEncoding.EncodeToString([]byte(a + s + a)) },
		"in a log-in in a pull secret": func(s, a string) string { return b64(`{"auth":"` + b64(a+":"+s) + `"}`) },
		"in JSON": func(s, a string) string {
			out, err := json.Marshal(s + a)
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		},
		"in a URL": func(s, a string) string { return "https://host/?" + url.Values{"token": {s}}.Encode() + a },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				secret := rapid.StringMatching(`[A-Za-z0-9+/=&"?~ü]{8,40}`).Draw(rt, "secret")
				around := rapid.StringMatching(`[a-z]{0,4}`).Draw(rt, "around")
				set := conceal.New("", "another-secret", sim.Secret(secret))
				got := set.Text("before " + write(secret, around) + " behind")
				if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " behind") || !strings.Contains(got, conceal.Mark) {
					rt.Fatalf("it gives %q", got)
				}
				if strings.Contains(got, secret) {
					rt.Fatalf("the secret is in %q", got)
				}
			})
		})
	}
}

func TestNothingIsLeftOfASecretAtTheEndOfBase64(t *testing.T) {
	t.Parallel()
	set := conceal.New("a-secret-value")
	for _, text := range []string{"a-secret-value", "x=a-secret-value", "xy=a-secret-value"} {
		got := set.Text("data: " + b64(text))
		if before, behind, ok := strings.Cut(got, conceal.Mark); !ok || behind != "" || len(before) > len("data: ")+4 {
			t.Errorf("%s in base64 is %s", text, got)
		}
	}
}

func TestPartsOfKeysAreConcealedToo(t *testing.T) {
	t.Parallel()
	pem := "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIB\nAQQgTh1sIsTheSecondLine\n-----END PRIVATE KEY-----\n"
	set := conceal.New(sim.Secret(pem), sim.Secret(b64(`{"kty":"EC","x":"public-coordinate","d":"private-part-of-it"}`)))
	for text, want := range map[string]string{
		"key: |\n  -----BEGIN PRIVATE KEY-----\n  MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIB\n": "key: |\n  -----BEGIN PRIVATE KEY-----\n  [redacted]\n",
		`{"x":"public-coordinate","d":"private-part-of-it"}`:                                      `{"x":"public-coordinate","d":"[redacted]"}`,
	} {
		if got := set.Text(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestWhatIsTooShortIsNoSecret(t *testing.T) {
	t.Parallel()
	set := conceal.New("true", "", "1234567")
	if got := set.Text("true and 1234567"); got != "true and 1234567" || set.Longest() != 0 {
		t.Errorf("%q, longest %d", got, set.Longest())
	}
	var none *conceal.Set
	none.Note("a-secret-that-is-long")
	if got := none.Text("a-secret-that-is-long"); got != "a-secret-that-is-long" || none.Longest() != 0 {
		t.Errorf("nobody's set gives %q", got)
	}
}

func TestSecretsBecomeKnownWhileTextIsConcealed(t *testing.T) {
	t.Parallel()
	set := conceal.New()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			secret := fmt.Sprintf("secret-number-%d", i)
			set.Note(sim.Secret(secret))
			if got := set.Text("is " + secret); got != "is "+conceal.Mark {
				t.Error(got)
			}
		})
	}
	wg.Wait()
}

func BenchmarkTextWithRecordsOfHelm(b *testing.B) {
	set := conceal.New()
	for i := range 10 {
		set.Note(sim.Secret(strings.Repeat(fmt.Sprintf("%cSMjA3Zk4", 'a'+i), 6000)))
	}
	text := strings.Repeat("what a step prints, line for line\n", 1000)
	for i := 0; b.Loop(); i++ {
		set.Note(sim.Secret(fmt.Sprintf("a new secret %d", i%100)))
		_ = set.Text(text)
	}
}
