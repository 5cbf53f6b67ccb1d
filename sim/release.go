package sim

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Release is a platform release, MAJOR.MINOR.PATCH, for example "15.3.0".
type Release string

var releasePattern = regexp.MustCompile(`^(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})$`)

// ParseRelease checks the form of a release. It returns Invalid for anything but MAJOR.MINOR.PATCH.
func ParseRelease(s string) (Release, error) {
	if !releasePattern.MatchString(s) {
		return "", Errorf(Invalid, "%q is not a release", s).WithHelp("a release is MAJOR.MINOR.PATCH, for example 15.3.0")
	}
	return Release(s), nil
}

// Compare orders releases: negative if r is older than o. What is not a release sorts before all that are.
func (r Release) Compare(o Release) int {
	a, b := r.parts(), o.parts()
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]))
}

func (r Release) parts() [3]int {
	p := [3]int{-1, -1, -1}
	for i, s := range releasePattern.FindStringSubmatch(string(r)) {
		if i > 0 {
			p[i-1], _ = strconv.Atoi(s) // the pattern admits digits only
		}
	}
	return p
}

// Tier is a sizing tier of an environment. It is not the offering tier (Professional, Enterprise, Universal).
type Tier string

// The sizing tiers.
const (
	TierS Tier = "S"
	TierM Tier = "M"
	TierL Tier = "L"
)

// Tiers lists the sizing tiers, smallest first.
func Tiers() []Tier { return []Tier{TierS, TierM, TierL} }

// Sizing is what one replica of a DPE needs, as Kubernetes quantities. In one that takes the place of a tier's, an empty
// figure is the tier's.
type Sizing struct {
	CPURequest    string `json:"cpu_request,omitempty"`
	CPULimit      string `json:"cpu_limit,omitempty"`
	MemoryRequest string `json:"memory_request,omitempty"`
	MemoryLimit   string `json:"memory_limit,omitempty"`
	Disk          string `json:"disk,omitempty"` // size of the generic ephemeral volume
}

// Or gives s with the figures of base where s has none.
func (s Sizing) Or(base Sizing) Sizing {
	return Sizing{
		CPURequest: cmp.Or(s.CPURequest, base.CPURequest), CPULimit: cmp.Or(s.CPULimit, base.CPULimit),
		MemoryRequest: cmp.Or(s.MemoryRequest, base.MemoryRequest), MemoryLimit: cmp.Or(s.MemoryLimit, base.MemoryLimit),
		Disk: cmp.Or(s.Disk, base.Disk),
	}
}

// Except gives s without the figures that are those of base.
func (s Sizing) Except(base Sizing) Sizing {
	for _, f := range []struct {
		figure *string
		base   string
	}{
		{&s.CPURequest, base.CPURequest},
		{&s.CPULimit, base.CPULimit},
		{&s.MemoryRequest, base.MemoryRequest},
		{&s.MemoryLimit, base.MemoryLimit},
		{&s.Disk, base.Disk},
	} {
		if *f.figure == f.base {
			*f.figure = ""
		}
	}
	return s
}

// Sizing gives the tier's figures. Source: seed, "Sizing and resource requirements"; the CPU limit of M really is below
// that of S. It returns Invalid for an unknown tier.
func (t Tier) Sizing() (Sizing, error) {
	switch t {
	case TierS:
		return Sizing{"600m", "1600m", "2000Mi", "2000Mi", "100Gi"}, nil
	case TierM:
		return Sizing{"1000m", "1500m", "3000Mi", "3000Mi", "350Gi"}, nil
	case TierL:
		return Sizing{"1000m", "2000m", "5000Mi", "5000Mi", "600Gi"}, nil
	}
	return Sizing{}, Errorf(Invalid, "unknown sizing tier %q", string(t)).WithHelp("the sizing tiers are %v", Tiers())
}

// Driver is the id of a connector that the DPE image contains.
type Driver string

// Drivers lists the connectors that can be chosen at Add DPE, in the order the portal shows them. Source: the data
// sources that the product's documentation names; the ids are our choice (product-facts, section 2).
func Drivers() []Driver {
	return []Driver{"postgresql", "aurora-postgresql", "mysql", "mssql", "oracle", "snowflake", "databricks", "bigquery", "s3", "adls"}
}

// CheckDrivers returns Invalid if d names an unknown driver or one twice.
func CheckDrivers(d []Driver) error {
	known := map[Driver]bool{}
	for _, k := range Drivers() {
		known[k] = true
	}
	seen := map[Driver]bool{}
	for _, x := range d {
		if !known[x] {
			return Errorf(Invalid, "unknown driver %q", string(x)).WithHelp("the drivers are %s", fmt.Sprint(Drivers()))
		}
		if seen[x] {
			return Errorf(Invalid, "driver %q is named twice", string(x)).WithHelp("name each driver once")
		}
		seen[x] = true
	}
	return nil
}
