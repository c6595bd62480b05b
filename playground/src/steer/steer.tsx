/** The room Steer: a prompt, what the plain and the edited model make of it, and the stages that make the difference. */
import { CostCard } from "./cost-card.tsx";
import { PromptCard } from "./prompt-card.tsx";
import { RunRibbon } from "./run-ribbon.tsx";
import { Sides } from "./sides.tsx";
import { StagesCard } from "./stages-card.tsx";
import { TokenDetail } from "./token-detail.tsx";

export function Steer() {
  return (
    <div class="steer">
      <div class="steer-main">
        <PromptCard />
        <RunRibbon />
        <Sides />
        <TokenDetail />
        <CostCard />
      </div>
      <div class="steer-side">
        <StagesCard />
      </div>
    </div>
  );
}
