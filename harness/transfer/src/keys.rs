//! Who somebody is: Ed25519 keys as raw public keys (RFC 7250), and TLS that accepts one key and no other.

use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};

use crate::ticket::PeerKey;

/// What an Ed25519 key begins with as a `SubjectPublicKeyInfo` (RFC 8410, section 4): the 32 bytes of the key follow.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What an Ed25519 private key begins with in PKCS #8 (RFC 8410, section 7): the 32 bytes of the seed follow.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// TLS alert (RFC 8446, section 6.2) for a client whose key is not the one.
pub const ALERT_ACCESS_DENIED: u8 = 49;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system has no randomness, or the cryptography library does not take the key.
    #[error("the cryptography library says: {0}")]
    Library(String),
    /// TLS does not take the key.
    #[error("TLS does not take the key")]
    Tls(#[from] rustls::Error),
}

/// A key pair that can prove itself in a handshake.
#[derive(Debug, Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    pair: Arc<Ed25519KeyPair>,
    public: PeerKey,
}

impl Identity {
    /// A new random key.
    pub fn fresh() -> Result<Identity, KeyError> {
        let mut seed = [0; 32];
        random(&mut seed)?;
        Identity::of_seed(&seed)
    }

    /// The key that follows from 32 secret bytes (RFC 8032, section 5.1.5).
    pub fn of_seed(seed: &[u8; 32]) -> Result<Identity, KeyError> {
        let library = |error: &dyn std::fmt::Display| KeyError::Library(error.to_string());
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|error| library(&error))?;
        let public = PeerKey(pair.public_key().as_ref().try_into().map_err(|error| library(&error))?);
        let pkcs8 = [PKCS8_PREFIX.as_slice(), seed].concat();
        let signer = rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))?;
        let certified = CertifiedKey::new(vec![CertificateDer::from(spki(public))], signer);
        Ok(Identity { certified: Arc::new(certified), pair: Arc::new(pair), public })
    }

    /// What others know it by.
    pub fn public(&self) -> PeerKey {
        self.public
    }

    /// Signs a message (RFC 8032, Ed25519). Each use must begin with a text of its own.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        let signature = self.pair.sign(message);
        bytes[..signature.as_ref().len()].copy_from_slice(signature.as_ref());
        bytes
    }

    /// The key as TLS wants it.
    pub fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

/// Whether `signature` is the one of `message` by the owner of `key`.
pub fn verify(key: PeerKey, message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.0).verify(message, signature).is_ok()
}

/// Fills `bytes` from the system's random number generator.
pub fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    use ring::rand::SecureRandom;
    SystemRandom::new().fill(bytes).map_err(|error| KeyError::Library(error.to_string()))
}

/// AES-GCM first: with the processor's AES instructions it takes 0.6 of ChaCha20's time, and 128 bits less than 256.
pub fn cryptography() -> CryptoProvider {
    use rustls::crypto::ring::cipher_suite;
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..rustls::crypto::ring::default_provider()
    }
}

fn spki(key: PeerKey) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), &key.0].concat()
}

/// Accepts one key, whatever name it comes under.
#[derive(Debug)]
pub struct PinnedKey {
    key: PeerKey,
    provider: CryptoProvider,
}

impl PinnedKey {
    /// Accepts this key.
    pub fn new(key: PeerKey) -> PinnedKey {
        PinnedKey { key, provider: cryptography() }
    }

    fn is_it(&self, end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        intermediates.is_empty() && end_entity.as_ref() == spki(self.key)
    }

    fn verify(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.is_it(end_entity, intermediates) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("the provider's key is not the one in the ticket".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for PinnedKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.is_it(end_entity, intermediates) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_its_own_spki() {
        let identity = Identity::fresh().unwrap();
        let certified = identity.certified();
        let shown = certified.key.public_key().unwrap();
        assert_eq!(shown.as_ref(), spki(identity.public()));
        assert_eq!(identity.certified().cert[0].as_ref(), spki(identity.public()));
    }

    /// RFC 8032, section 7.1, the first test.
    #[test]
    fn a_seed_has_the_key_of_the_standard() {
        let hex = |text: &str| -> [u8; 32] {
            std::array::from_fn(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap())
        };
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(Identity::of_seed(&seed).unwrap().public(), PeerKey(public));
    }
}
