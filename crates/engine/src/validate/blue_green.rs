//! The settings of a blue-green strategy.

use super::anti_affinity;
use super::error::{Check, SpecError};
use super::steps;
use api::{BlueGreenStrategy, RolloutSpec};

const PATH: &str = "spec.strategy.blueGreen";

/// §1.7, 6.
pub(super) fn check(spec: &RolloutSpec, strategy: &BlueGreenStrategy) -> Check {
    let preview = strategy.preview_service.as_deref().unwrap_or_default();
    if strategy.active_service == preview {
        return Err(SpecError::invalid(
            format!("{PATH}.activeService"),
            preview,
            "the active and the preview service must be two services",
        ));
    }
    let history = spec.revision_history_limit_or_default();
    if let Some(limit) = strategy.scale_down_delay_revision_limit
        && limit > history
    {
        let detail = format!("must not be greater than revisionHistoryLimit, which is {history}");
        let path = format!("{PATH}.scaleDownDelayRevisionLimit");
        return Err(SpecError::invalid(path, limit, &detail));
    }
    anti_affinity::check(PATH, strategy.anti_affinity.as_ref())?;
    for (field, analysis) in [
        ("prePromotionAnalysis", &strategy.pre_promotion_analysis),
        ("postPromotionAnalysis", &strategy.post_promotion_analysis),
    ] {
        if let Some(analysis) = analysis {
            steps::arguments(&format!("{PATH}.{field}"), &analysis.args)?;
        }
    }
    Ok(())
}
