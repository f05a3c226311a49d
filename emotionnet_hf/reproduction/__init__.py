"""The paper in one command: every table and figure, as far as the data at hand allow.

`scripts/reproduce.py` starts it. Data sets are built, text models and EmotionNets trained by the
recipes, measured by the commands that users have, and written beside the paper's numbers. What was
done is kept, so a killed run goes on, and one with more data fills the gaps.
"""
