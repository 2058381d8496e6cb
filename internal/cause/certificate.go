package cause

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// Distrust says what to do about a certificate that was refused, "" where that is not what failed. section is the one of
// the configuration that says what is trusted.
func Distrust(err error, section string) string {
	refused, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(refused.UnverifiedCertificates) == 0 {
		return ""
	}
	pin := fmt.Sprintf("%s.pin_sha256: [%x], if that is the server's", section, sha256.Sum256(refused.UnverifiedCertificates[0].RawSubjectPublicKeyInfo))
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Sprintf("name its authority in %s.ca_file, or pin its key: %s", section, pin)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the server needs a certificate for this domain; or give the name that it bears in %s.server_name, or pin its key: %s", section, pin)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "renew it on the server, and look at the clocks of both"
	}
	return ""
}
