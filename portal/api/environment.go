package api

import (
	"time"

	"github.com/dpesim/dpesim/sim"
)

// Phase is where an environment is in its life.
//
//	creating -> ready -> deleting -> (gone)
//	    \___________________^
type Phase string

// The phases.
const (
	PhaseCreating Phase = "creating" // committed; its services are being made
	PhaseReady    Phase = "ready"    // its services run
	PhaseDeleting Phase = "deleting" // final; its services are being taken away
)

// Phases lists the phases.
func Phases() []Phase { return []Phase{PhaseCreating, PhaseReady, PhaseDeleting} }

// Location is where an environment's cloud part runs. The pairs that exist are in [Locations].
type Location struct {
	Cloud  string `json:"cloud"`
	Region string `json:"region"`
}

// Locations lists the offered locations, the default first. Assumption: one region per cloud that the product supports
// self-managed clusters on (AKS, EKS).
func Locations() []Location {
	return []Location{{Cloud: "azure", Region: "westeurope"}, {Cloud: "aws", Region: "eu-central-1"}}
}

// EnvironmentSpec is the body of POST /environments. Every field but Name may be empty and then takes its default.
type EnvironmentSpec struct {
	Name    string      `json:"name"`
	Cloud   string      `json:"cloud,omitempty"`   // default: azure
	Region  string      `json:"region,omitempty"`  // default: the cloud's region
	Release sim.Release `json:"release,omitempty"` // default: the newest of the catalogue
	Tier    sim.Tier    `json:"tier,omitempty"`    // default: S

	Offering        Offering `json:"offering,omitempty"`         // default: enterprise
	EnginesAllowed  int      `json:"engines_allowed,omitempty"`  // contract; default: the organisation's
	ReplicasAllowed int      `json:"replicas_allowed,omitempty"` // licence; default: the organisation's
	Organisation    string   `json:"organisation,omitempty"`     // default: the user's; another one for the trainer only

	ExceptionalSizing bool `json:"exceptional_sizing,omitempty"` // contract: DPEs may have a sizing of their own; default: no
}

// Offering is the tier of the offering that an organisation has bought. It is not the sizing tier.
type Offering string

// The offering tiers. Source: product-facts, section 1; the seed says only that self-managed DPEs begin with Professional,
// so there is something below. Its name is our assumption.
const (
	OfferingStandard     Offering = "standard"
	OfferingProfessional Offering = "professional"
	OfferingEnterprise   Offering = "enterprise"
	OfferingUniversal    Offering = "universal"
)

// Offerings lists the offering tiers, the smallest first.
func Offerings() []Offering {
	return []Offering{OfferingStandard, OfferingProfessional, OfferingEnterprise, OfferingUniversal}
}

// SelfManaged tells whether self-managed DPEs are part of it. Source: seed: "They are only available in the Professional
// tier of Ataccama PaaS+ offering and above."
func (o Offering) SelfManaged() bool { return o != OfferingStandard }

// EnvironmentContract is what contract and licence allow one environment.
type EnvironmentContract struct {
	Engines  int `json:"engines"`  // self-managed DPEs
	Replicas int `json:"replicas"` // of self-managed and Ataccama-managed DPEs together
	// ExceptionalSizing says whether self-managed DPEs may have a sizing other than the tier's: "if allowed by Ataccama" (seed,
	// "Sizing and resource requirements").
	ExceptionalSizing bool `json:"exceptional_sizing"`
}

// Environment is one platform environment.
type Environment struct {
	ID sim.EnvironmentID `json:"id"` // made from the name; never changes
	// Name is as it was typed.
	Name string `json:"name"`
	Location
	Release   sim.Release `json:"release"`
	Tier      sim.Tier    `json:"tier"`
	Phase     Phase       `json:"phase"`
	Created   time.Time   `json:"created"`
	Revision  int64       `json:"revision"` // grows with each change of the environment or its DPEs; the entity tag
	Usage     Usage       `json:"usage"`
	Endpoints Endpoints   `json:"endpoints"`

	Organisation string              `json:"organisation"` // id
	Owner        string              `json:"owner"`        // id of the user
	Offering     Offering            `json:"offering"`
	Contract     EnvironmentContract `json:"contract"`

	Steps []CreationStep `json:"steps,omitempty"` // of the creation, while it goes on
}

// Usage sets what an environment's DPEs use against the contract and the licence.
type Usage struct {
	Engines          int `json:"engines"`           // self-managed DPEs
	EnginesAllowed   int `json:"engines_allowed"`   // by the contract
	Replicas         int `json:"replicas"`          // of self-managed and Ataccama-managed DPEs together
	Managed          int `json:"managed"`           // of these, Ataccama-managed
	ReplicasLicensed int `json:"replicas_licensed"` // by the licence
}

// Endpoints is where an environment's services are reached. A field is empty while the service does not exist.
type Endpoints struct {
	DPM           string `json:"dpm"`            // URL, https://dpm-grpc-<ONE instance hostname>[:port]
	ObjectStorage string `json:"object_storage"` // URL, https://minio-<ONE instance hostname>[:port]
	Registry      string `json:"registry"`       // host[:port] of the artifacts registry, as it stands in OCI references
	CA            string `json:"ca"`             // PEM of the certificate authority that signs all of them
	// Address is where the hosts of DPM and ObjectStorage are as the cluster's pods see it, where no DNS tells them; empty: DNS does.
	Address string `json:"address,omitempty"`
}

// Upgrade is the body of POST /environments/{env}/upgrade.
type Upgrade struct {
	Release sim.Release `json:"release"`
}

// ETag is the entity tag of e, for If-Match.
func (e Environment) ETag() string { return ETag(e.Revision) }

// OwnerChange is the body of PUT /environments/{env}/owner.
type OwnerChange struct {
	Owner string `json:"owner"` // id of a user of the environment's organisation who is an admin or may own environments
}

// Organisation is who uses the portal, and what its agreements allow.
type Organisation struct {
	ID       string             `json:"id"`
	Name     string             `json:"name"`
	Contract Contract           `json:"contract"`
	Licence  Licence            `json:"licence"`
	Usage    []EnvironmentUsage `json:"usage"` // by environment id
}

// Contract limits the self-managed DPEs of each environment.
type Contract struct {
	EnginesPerEnvironment int `json:"engines_per_environment"`
}

// Licence limits the replicas of each environment, shared by self-managed and Ataccama-managed DPEs.
type Licence struct {
	ReplicasPerEnvironment int       `json:"replicas_per_environment"`
	Expires                time.Time `json:"expires"`
}

// EnvironmentUsage is the usage of one environment.
type EnvironmentUsage struct {
	Environment sim.EnvironmentID `json:"environment"`
	Usage
}

// ObjectStorage is what an operator needs to read and write an environment's buckets. Its secret stays redacted in JSON;
// the portal sends [ObjectStorage.Revealed].
type ObjectStorage struct {
	Endpoint  string     `json:"endpoint"` // URL
	Region    string     `json:"region"`
	AccessKey string     `json:"access_key"`
	SecretKey sim.Secret `json:"secret_key"`
}

// RevealedObjectStorage is [ObjectStorage] with its secret in the clear, for the one answer that carries it.
type RevealedObjectStorage struct {
	ObjectStorage
	SecretKey string `json:"secret_key"`
}

// Revealed gives o with its secret in the clear. The caller answers for where it goes.
func (o ObjectStorage) Revealed() RevealedObjectStorage {
	return RevealedObjectStorage{ObjectStorage: o, SecretKey: o.SecretKey.Reveal()}
}

// CredentialKind says which service honours a credential.
type CredentialKind string

// The kinds of credentials.
const (
	CredentialDPMKey   CredentialKind = "dpm_key"        // ID: fingerprint of a public key among DPM's Authorized Components
	CredentialStorage  CredentialKind = "object_storage" // ID: access key
	CredentialRegistry CredentialKind = "registry"       // ID: user name of an access token
)

// CredentialKinds lists the kinds.
func CredentialKinds() []CredentialKind {
	return []CredentialKind{CredentialDPMKey, CredentialStorage, CredentialRegistry}
}

// Credential is something that is authorised now, without its secret.
type Credential struct {
	Kind  CredentialKind `json:"kind"`
	ID    string         `json:"id"`
	Label sim.Label      `json:"label,omitempty"` // the DPE that it belongs to; empty: none
}
