//! Under which name the verbs were called.

/// The program that the user called. The verbs are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `weir`
    Weir,
    /// `kubectl weir`
    KubectlWeir,
    /// `kubectl argo rollouts`: scripts that were written for the peer's plugin.
    KubectlArgoRollouts,
}

impl Program {
    /// As it is typed: the beginning of usage lines.
    pub const fn usage(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::KubectlWeir => "kubectl weir",
            Self::KubectlArgoRollouts => "kubectl argo rollouts",
        }
    }

    /// The file that is executed: what `version` and completion scripts name.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::KubectlWeir => "kubectl-weir",
            Self::KubectlArgoRollouts => "kubectl-argo-rollouts",
        }
    }

    /// The program that `argv[0]` names; [`Program::KubectlWeir`] unless it is one of the others.
    pub fn from_argv0(argv0: &str) -> Self {
        let file = argv0.rsplit(['/', '\\']).next().unwrap_or(argv0);
        match file.strip_suffix(".exe").unwrap_or(file) {
            "weir" => Self::Weir,
            "kubectl-argo-rollouts" => Self::KubectlArgoRollouts,
            _ => Self::KubectlWeir,
        }
    }
}
