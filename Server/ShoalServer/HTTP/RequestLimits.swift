import NIOCore
import ShoalCRDT
import Synchronization

/// How often requests come: of an account, and guesses at enrolment codes.
final class RequestLimits: Sendable {
    struct Rates: Sendable {
        /// A bootstrap asks for page after page; a person never gets near it.
        var account = TokenBucket.Rate(burst: 500, perSecond: 50)
        /// A code has 60 bits and lives for a day.
        var guesses = TokenBucket.Rate(burst: 20, perSecond: 0.2)
        /// Of everybody together.
        var allGuesses = TokenBucket.Rate(burst: 500, perSecond: 20)
    }

    private let accounts: TokenBuckets<RecordID>
    private let guesses: TokenBuckets<PeerAddress>
    private let allGuesses: TokenBuckets<Bool>

    init(_ rates: Rates) {
        accounts = TokenBuckets(rates.account)
        guesses = TokenBuckets(rates.guesses)
        allGuesses = TokenBuckets(rates.allGuesses)
    }

    /// Counts a request of an account.
    func count(_ account: RecordID, now: NIODeadline) throws(Problem) {
        if let seconds = accounts.take(account, now: now) {
            throw .tooMany("this account sends too many requests; wait before the next one", after: seconds)
        }
    }

    /// Counts an attempt at a secret before it is looked at.
    ///
    /// - Returns: whom it is counted for.
    func guess(_ address: PeerAddress, now: NIODeadline) throws(Problem) -> PeerAddress {
        if let seconds = guesses.take(address, now: now) {
            throw .tooMany("too many enrolments from there were refused; wait before the next one", after: seconds)
        }
        if let seconds = allGuesses.take(true, now: now) {
            guesses.giveBack(address)
            throw .tooMany("too many enrolments were refused; wait before the next one", after: seconds)
        }
        return address
    }

    /// The attempt was right, so it was no guess.
    func wasRight(_ guess: PeerAddress) {
        guesses.giveBack(guess)
        allGuesses.giveBack(true)
    }
}

/// A token bucket: so many at once, and so many a second in the long run.
struct TokenBucket {
    struct Rate: Sendable {
        var burst: Double
        var perSecond: Double
    }

    private var tokens: Double
    private var time: NIODeadline

    init(_ rate: Rate, now: NIODeadline) {
        tokens = rate.burst
        time = now
    }

    /// - Returns: nil, or after how many seconds there will be a token.
    mutating func take(_ rate: Rate, now: NIODeadline) -> Int64? {
        fill(rate, now: now)
        if tokens >= 1 {
            tokens -= 1
            return nil
        }
        return Int64(((1 - tokens) / rate.perSecond).rounded(.up))
    }

    mutating func giveBack(_ rate: Rate) { tokens = min(rate.burst, tokens + 1) }

    mutating func isFull(_ rate: Rate, now: NIODeadline) -> Bool {
        fill(rate, now: now)
        return tokens >= rate.burst
    }

    private mutating func fill(_ rate: Rate, now: NIODeadline) {
        let seconds = Double((now - time).nanoseconds) / 1_000_000_000
        guard seconds > 0 else { return }
        tokens = min(rate.burst, tokens + seconds * rate.perSecond)
        time = now
    }
}

/// A bucket for each key, in bounded memory: a full one is as good as none.
final class TokenBuckets<Key: Hashable & Sendable>: Sendable {
    private static var most: Int { 4_096 }
    private let rate: TokenBucket.Rate
    private let buckets = Mutex<[Key: TokenBucket]>([:])

    init(_ rate: TokenBucket.Rate) { self.rate = rate }

    func take(_ key: Key, now: NIODeadline) -> Int64? {
        buckets.withLock { buckets in
            if buckets.count >= Self.most, buckets[key] == nil { Self.forgetFull(&buckets, rate, now) }
            // With so many who have drawn on theirs, a new one is not noted: what bounds all of them together does.
            guard buckets.count < Self.most || buckets[key] != nil else { return nil }
            return buckets[key, default: TokenBucket(rate, now: now)].take(rate, now: now)
        }
    }

    func giveBack(_ key: Key) { buckets.withLock { $0[key]?.giveBack(rate) } }

    private static func forgetFull(_ buckets: inout [Key: TokenBucket], _ rate: TokenBucket.Rate, _ now: NIODeadline) {
        for key in buckets.keys where buckets[key]?.isFull(rate, now: now) == true { buckets[key] = nil }
    }
}
