package sdp

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"strings"
)

// A Crypto is one a=crypto (RFC 4568, 9.1) with key and salt in one.
type Crypto struct {
	Tag   int
	Suite string
	Key   []byte
}

// Suites that are spoken, by preference, with the length of key and salt.
var suites = []struct {
	name string
	size int
}{
	{"AEAD_AES_128_GCM", 16 + 12}, // RFC 7714
	{"AES_CM_128_HMAC_SHA1_80", 16 + 14},
	{"AES_CM_128_HMAC_SHA1_32", 16 + 14},
}

func suiteSize(name string) int {
	for _, s := range suites {
		if s.name == name {
			return s.size
		}
	}
	return 0
}

// parseCrypto reads "1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^31|1:4". A suite that is not
// spoken, a key of a wrong length or one with an MKI is passed over.
func parseCrypto(v string) (Crypto, bool) {
	f := strings.Fields(v)
	if len(f) < 3 {
		return Crypto{}, false
	}
	tag, err := strconv.Atoi(f[0])
	if err != nil || tag < 0 || tag > 999999999 {
		return Crypto{}, false
	}
	suite := strings.ToUpper(f[1])
	params, ok := strings.CutPrefix(f[2], "inline:")
	size := suiteSize(suite)
	if !ok || size == 0 || strings.Contains(params, ";") {
		return Crypto{}, false
	}
	for _, p := range f[3:] { // session parameters that change what is sent
		if up := strings.ToUpper(p); strings.HasPrefix(up, "UNENCRYPTED") || strings.HasPrefix(up, "UNAUTHENTICATED") || strings.HasPrefix(up, "KDR") {
			return Crypto{}, false
		}
	}
	parts := strings.Split(params, "|")
	for _, p := range parts[1:] {
		if strings.Contains(p, ":") { // an MKI of length > 0
			return Crypto{}, false
		}
	}
	key, err := base64.StdEncoding.DecodeString(parts[0])
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(parts[0])
	}
	if err != nil || len(key) != size {
		return Crypto{}, false
	}
	return Crypto{Tag: tag, Suite: suite, Key: key}, true
}

// newCrypto makes a fresh key for a suite.
func newCrypto(tag int, suite string) Crypto {
	key := make([]byte, suiteSize(suite))
	_, _ = rand.Read(key) // never fails
	return Crypto{Tag: tag, Suite: suite, Key: key}
}

func (c Crypto) line() string {
	return "a=crypto:" + strconv.Itoa(c.Tag) + " " + c.Suite + " inline:" + base64.StdEncoding.EncodeToString(c.Key) + "\r\n"
}
