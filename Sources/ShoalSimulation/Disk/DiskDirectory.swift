import CSQLite

/// The names of a disk. All of them are one directory.
extension SimulatedDisk {
    /// Opens a file, or makes it when the flags (SQLITE_OPEN_…) say so; nil if it cannot be opened.
    func open(_ name: String, _ flags: Int32) -> FileHandle? {
        let isJournal = flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL) != 0
        let creates = flags & SQLITE_OPEN_CREATE != 0
        let (life, isThere) = state.withLock { ($0.life, $0.entries[name] != nil) }
        if !isThere, announce(.create, name, life) != nil { return nil }
        return state.withLock { state in
            guard state.life == life, !state.isHalted else { return nil }
            let node: FileNode
            if let known = state.entries[name] {
                if flags & SQLITE_OPEN_EXCLUSIVE != 0, creates { return nil }
                node = known
            } else {
                guard creates else { return nil }
                state.lastID += 1
                node = FileNode(id: state.lastID, name: name, content: FileContent())
                state.nodes[node.id] = node
                state.entries[name] = node
            }
            return FileHandle(
                self, node, life: life, syncsDirectory: creates && isJournal,
                deletesOnClose: flags & SQLITE_OPEN_DELETEONCLOSE != 0)
        }
    }

    func delete(_ name: String, syncsDirectory: Bool) -> Int32 {
        let life = state.withLock { $0.life }
        if announce(.delete, name, life) != nil { return IOFailure.delete }
        return state.withLock { state in
            guard state.life == life, !state.isHalted else { return IOFailure.delete }
            guard state.entries[name] != nil else { return IOFailure.deleteNothing }
            state.remove(name)
            if syncsDirectory { state.syncDirectory() }
            return SQLITE_OK
        }
    }

    /// nil if there is no such file.
    func size(of name: String) -> Int? { state.withLock { $0.entries[name]?.content.size } }
}
