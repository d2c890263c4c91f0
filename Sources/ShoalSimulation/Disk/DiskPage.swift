/// 4,096 bytes of a simulated file, shared by snapshots until somebody writes.
///
/// `@unchecked Sendable`: the bytes are written only by whoever holds the one reference to the page.
final class DiskPage: @unchecked Sendable {
    static let size = 4_096
    private let start: UnsafeMutableRawPointer

    private init() { start = .allocate(byteCount: Self.size, alignment: 16) }

    deinit { start.deallocate() }

    /// A page of zeros.
    static func zeros() -> DiskPage {
        let page = DiskPage()
        page.start.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        return page
    }

    /// A page with the bytes of `other`, or zeros.
    static func copy(of other: DiskPage?) -> DiskPage {
        guard let other else { return zeros() }
        let page = DiskPage()
        page.start.copyMemory(from: other.start, byteCount: size)
        return page
    }

    @inline(__always)
    func withBytes<T>(_ body: (UnsafeMutableRawBufferPointer) -> T) -> T {
        body(UnsafeMutableRawBufferPointer(start: start, count: Self.size))
    }
}
