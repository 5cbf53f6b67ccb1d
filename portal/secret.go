package portal

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"time"

	"github.com/dpesim/dpesim/portal/store"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/jwk"
)

// generate makes the secrets of a new DPE. The user of the registry names environment and label, because the registry
// serves all environments; neither can hold a dot, so no two DPEs share a user.
func generate(env sim.EnvironmentID, l sim.Label) (store.Secrets, error) {
	pair, err := jwk.Generate()
	if err != nil {
		return store.Secrets{}, err
	}
	key, err := jwk.Marshal(pair)
	if err != nil {
		return store.Secrets{}, fmt.Errorf("write the key of DPE %s: %w", l, err)
	}
	s := store.Secrets{Key: key, KeyID: jwk.Fingerprint(&pair.PublicKey), RegistryUser: string(env) + "." + string(l), RegistryToken: sim.Secret(rand.Text())}
	s.AccessKey, s.SecretKey = storageCredential("DPE")
	return s, nil
}

// registryTokenLife is how long an access token for the registry is valid, in product time. The product publishes no
// period: a year is our assumption.
const registryTokenLife = 365 * 24 * time.Hour

// accessKeyBytes gives access keys 80 random bits: enough never to meet twice.
const accessKeyBytes = 10

// storageCredential makes an S3 credential: an access key that begins with prefix, which tells people whose it is, and a
// secret of 26 characters, 130 bits.
func storageCredential(prefix string) (accessKey string, secretKey sim.Secret) {
	b := make([]byte, accessKeyBytes)
	_, _ = rand.Read(b) // documented never to fail
	return prefix + base32.StdEncoding.EncodeToString(b), sim.Secret(rand.Text())
}
