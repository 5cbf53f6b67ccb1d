package objstore

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"
)

// checksumPrefix begins the headers and trailers that carry a checksum of the whole body.
const checksumPrefix = "X-Amz-Checksum-"

// nvme is the polynomial of CRC64NVME in Go's reversed notation. Source: NVM Express NVM Command Set Specification 1.0,
// section 5.2.1.3.4.
const nvme = 0x9a6c9329ac4bc9b5

// newChecksum makes the hash of a checksum header (canonical name), nil for one that is not known. What it yields is
// written big-endian and in base64. Source: Amazon S3 User Guide, "Checking object integrity".
func newChecksum(header string) hash.Hash {
	switch header {
	case checksumPrefix + "Crc32":
		return crc32.NewIEEE()
	case checksumPrefix + "Crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case checksumPrefix + "Crc64nvme":
		return crc64.New(crc64.MakeTable(nvme))
	case checksumPrefix + "Sha1":
		return sha1.New()
	case checksumPrefix + "Sha256":
		return sha256.New()
	}
	return nil
}

// isChecksumHeader tells whether a canonical header name carries a checksum; X-Amz-Checksum-Mode and others do not.
func isChecksumHeader(name string) bool {
	return strings.HasPrefix(name, checksumPrefix) && newChecksum(name) != nil
}

func encodeChecksum(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }
